-- Programs that run on this database, as each reports itself every ten seconds: for people who look after a site. Nothing
-- depends on it. A program that was not heard of for an hour is forgotten.
create table programs (
  program text not null,                        -- relay-processor, relay-api
  instance text collate "C" not null,           -- of a processor: `owner` in progress
  version text not null,
  started_at timestamptz not null,
  seen_at timestamptz not null default now(),
  measured jsonb not null default '{}',         -- since the report before
  primary key (program, instance)
) with (fillfactor = 50);                       -- updated in place

do $$
declare
  allowed_role text;
begin
  foreach allowed_role in array array['relay_processor', 'relay_api'] loop
    if exists (select from pg_roles where rolname = allowed_role) then
      execute format('grant select, insert, update, delete on programs to %I', allowed_role);
    end if;
  end loop;
end
$$;
