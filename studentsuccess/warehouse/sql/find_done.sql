-- The run that already did what this key stands for, unless a later run replaced one of its targets.
SELECT done.run_id
FROM ops.run AS done
WHERE
    done.key = $key
    AND NOT EXISTS (
        FROM unnest($targets::VARCHAR []) AS wanted (target)
        WHERE wanted.target NOT IN (SELECT t.target FROM ops.run_target AS t WHERE t.run_id = done.run_id)
    )
    AND NOT EXISTS (
        FROM ops.run AS later
        INNER JOIN ops.run_target AS touched ON later.run_id = touched.run_id
        WHERE
            later.sequence > done.sequence
            AND NOT later.extends
            AND later.key <> done.key
            AND list_contains($targets::VARCHAR [], touched.target)
    )
ORDER BY done.sequence DESC
LIMIT 1
