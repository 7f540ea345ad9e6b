WITH numbers (n) AS (VALUES (1), (2), (3), (4), (5), (6))
INSERT INTO events (position, id, webhook, brand, claimed_webhook_id, name, occurrence_id, entity, received_at,
    retry_num, sent_at, peer, headers, body)
SELECT n, unhex('018bcfe568007000800000000000000' || n), 'product', 'leiga', '77', 'Issue.Update', 'old-' || n,
    'leiga/tenant:1/issue/100', 1700000000000 + n, 0, 1676627206, '192.0.2.1', CAST('accept: */*' AS BLOB),
    CAST('{"tenant":{"id":1},"data":{"issue":{"id":100}},"n":' || n || '}' AS BLOB)
FROM numbers;

INSERT INTO keys VALUES (x'0102030405060708', 1, 1800000000000);
INSERT INTO duplicates VALUES (1, 2);
INSERT INTO receipts VALUES
    (1, 1, 1700000000500, 1, 1676627207, '192.0.2.1', 0, NULL),
    (1, 2, 1700000000600, 2, NULL, NULL, 1, x'7b7d');

INSERT INTO verdicts VALUES (1, '[{"handler":"chat","clause":"events"}]');
INSERT INTO plans VALUES (1, 5, 1700000001000, 1);
UPDATE marks SET value = 5 WHERE name = 'planned';

INSERT INTO deliveries VALUES
    (1, 1, 'crm', 0, 'leiga/tenant:1/issue/100', 'delivered', NULL, 0, 1, 1, NULL, 1700000001000, 1700000002000),
    (2, 2, 'crm', 0, 'leiga/tenant:1/issue/100', 'dead', NULL, 0, 2, 2, 'it refused', 1700000001000, 1700000003000),
    (3, 3, 'crm', 0, 'leiga/tenant:1/issue/100', 'pending', 1700000064000, 1, 1, 1, NULL, 1700000001000, NULL),
    (4, 4, 'crm', 0, 'leiga/tenant:1/issue/100', 'pending', NULL, 0, 0, 0, NULL, 1700000001000, NULL),
    (5, 1, 'log', 0, NULL, 'pending', 1700000050000, 0, 1, 1, 'it failed', 1700000001000, NULL),
    (6, 5, 'log', 0, NULL, 'cancelled', NULL, 0, 0, 0, 'not wanted', 1700000001000, 1700000003000);
INSERT INTO attempts VALUES
    (1, 1, 'delivered', 1700000002000, 7, 200, 'it answered 200', x''),
    (2, 1, 'failed', 1700000002000, 7, 503, 'it answered 503', x''),
    (2, 2, 'refused', 1700000003000, 7, 400, 'it answered 400', x'6e6f'),
    (5, 1, 'failed', 1700000002000, 7, 503, 'it answered 503', x'');

INSERT INTO rejected (received_at, webhook, brand, claimed_webhook_id, peer, reason, headers, body) VALUES
    (1700000000000, 'product', 'leiga', '77', '192.0.2.1', 'the first', CAST('accept: */*' AS BLOB), x'78'),
    (1700000000001, 'product', 'leiga', '77', NULL, 'the second', x'', x'');
UPDATE marks SET value = 12 WHERE name = 'rejected_bytes';
INSERT INTO refusals VALUES ('token', '192.0.2.1', '77', 3, 1700000000000);
