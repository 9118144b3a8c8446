INSERT INTO ml.confusion BY NAME
SELECT $name AS name, $version AS version, incoming.* FROM incoming
