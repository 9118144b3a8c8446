SELECT relation.name, shape.name, shape.type
FROM sqlite_master AS relation, pragma_table_info(relation.name) AS shape
WHERE relation.type IN ('table', 'view')
ORDER BY relation.name, shape.cid
