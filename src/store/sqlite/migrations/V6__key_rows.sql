-- The newest keys, all that one commit remembered in one row: each as 16 bytes of its hash, 8 of the position and 8 of
-- when it expires, the most significant first. The row's number is that of its last key.
CREATE TABLE daily_keys (number INTEGER PRIMARY KEY, keys BLOB NOT NULL);
CREATE TABLE lasting_keys (number INTEGER PRIMARY KEY, keys BLOB NOT NULL);
INSERT INTO daily_keys (number, keys)
    SELECT number, unhex(hex(hash) || printf('%016X', position) || printf('%016X', expires_at)) FROM new_keys WHERE daily;
INSERT INTO lasting_keys (number, keys)
    SELECT number, unhex(hex(hash) || printf('%016X', position) || printf('%016X', expires_at)) FROM new_keys WHERE NOT daily;
DROP TABLE new_keys;
