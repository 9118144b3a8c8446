INSERT INTO ml.calibration BY NAME
SELECT $name AS name, $version AS version, incoming.* FROM incoming
