SELECT table_name, digest FROM mart_publication
