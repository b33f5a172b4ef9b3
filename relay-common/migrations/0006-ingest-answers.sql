-- Answers to requests that came with an Idempotency-Key, so that the same request sent again has the same answer and
-- no effect. A row is first a claim: its request is under way, until claimed_until at the latest.
create table ingest_answers (
  caller bytea not null,              -- SHA-256 of the caller's credentials: keys of one caller are none of another's
  idempotency_key text not null,
  body_hash bytea not null,           -- SHA-256 of what was sent
  claim uuid not null,
  claimed_until timestamptz not null,
  status smallint,                    -- null: under way
  answer text,
  expires_at timestamptz not null,
  primary key (caller, idempotency_key)
);

create index ingest_answers_expires on ingest_answers (expires_at);
