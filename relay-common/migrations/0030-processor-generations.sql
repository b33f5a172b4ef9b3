-- Generations: processors of two versions that run side by side during a deployment. Each partition belongs to one generation,
-- and only its processors may claim it. The one row of a plain site is written by its first claim.
--
--     active     all partitions but those of the canary
--     canary     the partitions that canary_partitions gives to it
--     aborting   none: they were given back, and their rows are being rebuilt
--     standby    none
--
-- Claims lock this table in row share mode, and every change of it in exclusive mode: so a claim sees who owns its partition now.
create table processor_generations (
  generation text primary key,
  state text not null check (state in ('active', 'canary', 'aborting', 'standby')),
  since timestamptz not null default now()
);
create unique index processor_generations_active on processor_generations ((true)) where state = 'active';
create unique index processor_generations_canary on processor_generations ((true)) where state in ('canary', 'aborting');

-- Where every partition was when the canary began, and when it was given back: what the canary may have touched. No rows:
-- there is no canary.
create table canary_partitions (
  source_partition integer primary key,
  topic_id uuid not null,
  is_canary boolean not null,           -- false: its readings may still have been forwarded from or to the canary
  from_offset bigint not null,
  from_epoch bigint not null,           -- each claim since then raised it
  oldest_time timestamptz,              -- of what waited in the journal, or on its way home, then
  to_offset bigint,
  started_at timestamptz not null default now()
);

do $$
declare
  allowed record;
begin
  for allowed in
    select * from (values
      ('relay_processor', 'select, insert, update on processor_generations'),
      ('relay_processor', 'select on canary_partitions')) as a (role_name, what)
  loop
    if exists (select from pg_roles where rolname = allowed.role_name) then
      execute format('grant %s to %I', allowed.what, allowed.role_name);
    end if;
  end loop;
end
$$;
