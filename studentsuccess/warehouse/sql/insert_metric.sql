INSERT INTO ml.metric BY NAME
SELECT $name AS name, $version AS version, incoming.* FROM incoming
