DELETE FROM ops.dataset WHERE name = $name
