BEGIN TRANSACTION;
CREATE TABLE boot (one INTEGER PRIMARY KEY CHECK (one = 1), count INTEGER NOT NULL);
INSERT INTO "boot" VALUES(1,1);
CREATE TABLE clock (
  one INTEGER PRIMARY KEY CHECK (one = 1), spool_s REAL NOT NULL, boot_id TEXT NOT NULL,
  boottime_s REAL NOT NULL, wall_s REAL NOT NULL, synchronised INTEGER NOT NULL
);
INSERT INTO "clock" VALUES(1,1.11853199001416214741e-01,'6d038052-f170-4a21-a96c-0d3bf0bef24b',14453.572418019,1.7952771613942155838e+09,0);
CREATE TABLE prompt (
  serial INTEGER PRIMARY KEY AUTOINCREMENT,
  client TEXT NOT NULL, id TEXT NOT NULL,
  fingerprint TEXT NOT NULL, board_given INTEGER NOT NULL,
  state TEXT NOT NULL,
  accepted_s REAL NOT NULL, deadline_s REAL NOT NULL, deadline_certain INTEGER NOT NULL,
  priority INTEGER NOT NULL, stream INTEGER NOT NULL, receipt INTEGER NOT NULL,
  replace_key TEXT,
  topic TEXT NOT NULL, correlation BLOB,
  attempts INTEGER NOT NULL DEFAULT 0, restarts INTEGER NOT NULL DEFAULT 0,
  job TEXT,
  event TEXT, status INTEGER, outcome BLOB, settled_s REAL, unclaimed INTEGER NOT NULL DEFAULT 0,
  UNIQUE (client, id)
);
INSERT INTO "prompt" VALUES(1,'c1','delivered','f1',0,'delivered',4.55423750008776551112e-02,3.00045542375000877659e+02,1,5,0,0,NULL,'res/c1/delivered',X'632D31',0,0,NULL,'done',200,X'7B226576656E74223A22646F6E65227D',0.0761301740003546,0);
INSERT INTO "prompt" VALUES(2,'c1','settled','f2',0,'settled',4.55423750008776551112e-02,3.00045542375000877659e+02,1,5,0,0,NULL,'res/c1/settled',X'632D31',0,0,NULL,'error',500,X'7B226576656E74223A226572726F72227D',0.0761301740003546,0);
INSERT INTO "prompt" VALUES(3,'c1','running','f3',0,'running',4.55423750008776551112e-02,3.00045542375000877659e+02,1,5,0,0,NULL,'res/c1/running',X'632D31',0,0,'{"prompt":{"root":"","payload":"prompt 3","suffix":"","messages":[]},"schema":"{\"type\":\"integer\"}","max_tokens":9,"sampling":{"temperature":0.0,"top_p":1.0,"top_k":null,"min_p":0.0,"repeat_penalty":1.0,"seed":null,"stop":[]},"template":["note","sha256:0"],"trimmed_tokens":0,"wire":"json","on_cap":"close"}',NULL,NULL,NULL,NULL,0);
INSERT INTO "prompt" VALUES(4,'c1','queued','f4',0,'queued',4.55423750008776551112e-02,3.00045542375000877659e+02,1,7,0,0,'k','res/c1/queued',X'632D31',0,0,'{"prompt":{"root":"","payload":"prompt 4","suffix":"","messages":[]},"schema":"{\"type\":\"integer\"}","max_tokens":9,"sampling":{"temperature":0.0,"top_p":1.0,"top_k":null,"min_p":0.0,"repeat_penalty":1.0,"seed":null,"stop":[]},"template":["note","sha256:0"],"trimmed_tokens":0,"wire":"json","on_cap":"close"}',NULL,NULL,NULL,NULL,0);
INSERT INTO "prompt" VALUES(5,'c1','b-1-1','f5',1,'queued',5.58835900010308250784e-02,600.055883590001,1,5,0,0,NULL,'res/c1/b-1-1',X'632D31',0,0,'{"prompt":{"root":"","payload":"prompt 5","suffix":"","messages":[]},"schema":"{\"type\":\"integer\"}","max_tokens":9,"sampling":{"temperature":0.0,"top_p":1.0,"top_k":null,"min_p":0.0,"repeat_penalty":1.0,"seed":null,"stop":[]},"template":["note","sha256:0"],"trimmed_tokens":0,"wire":"json","on_cap":"close"}',NULL,NULL,NULL,NULL,0);
CREATE INDEX prompt_state ON prompt (state, serial);
CREATE INDEX prompt_replace ON prompt (client, replace_key) WHERE replace_key IS NOT NULL;
CREATE INDEX prompt_board_given ON prompt (client, fingerprint) WHERE board_given;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('prompt',5);
COMMIT;
PRAGMA user_version = 1;
