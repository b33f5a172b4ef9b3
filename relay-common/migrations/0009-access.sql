-- Keys of clients that have no identity provider. The key itself is told once, when it is made: here is a hash of its
-- secret, which nobody can turn back. A rotated key has two secrets until the older one's time is over.
create table api_keys (
  key_id text collate "C" primary key,
  name text not null,
  scopes text[] not null,
  zones text[],                          -- null: all
  device_prefixes text[],                -- null: all
  secret_hash bytea not null,            -- SHA-256
  former_secret_hash bytea,              -- of the secret before a rotation
  former_secret_until timestamptz,
  created_by text not null,
  created_at timestamptz not null default now(),
  expires_at timestamptz,                -- null: never
  revoked_at timestamptz,
  last_used_at timestamptz               -- to the minute
);

-- Acts of administrators, written in the transaction of the act.
create table audit_log (
  audit_id bigint generated always as identity primary key,
  at timestamptz not null default now(),
  principal text not null,
  act text not null,
  target text not null,
  address text,
  request_id text,
  details jsonb not null default '{}'
);

create index audit_log_at on audit_log (at);

-- How often callers have asked, where API processes count together. Not worth a write-ahead log: after a crash all
-- begin anew.
create unlogged table rate_limits (
  key text collate "C" primary key,
  count integer not null,
  window_end timestamptz not null
);
