DELETE FROM {table} WHERE table_name = %(name)s
