SELECT table_name, digest FROM {table}
