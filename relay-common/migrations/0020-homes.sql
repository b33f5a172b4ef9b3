-- One home per device: its readings count in one source partition, whichever partition they came by. Producers hash keys
-- in different ways, or send none, and a topic that gets more partitions moves devices; a reading that was sent twice
-- would be in two partitions otherwise, and count twice.
--
--     home of a device = murmur2(device id) mod homes.partitions, as Kafka's own clients choose
--
-- A change of `partitions` raises every epoch in the same transaction: what was committed before counts where it is, and
-- all that comes after it counts at the new home, which looks there for resends.
create table homes (
  is_only boolean primary key default true check (is_only),
  topic_id uuid not null,
  partitions integer not null check (partitions > 0),
  horizon timestamptz   -- newest event time when this was decided: readings up to here may be in other partitions
);

-- Readings on their way home. The flush of the partition that they came by adds them with its progress; the flush of
-- their home removes them with its rows. So they are counted exactly once, whoever is killed in between.
create table misplaced_readings (
  home_partition integer not null,
  id bigint generated always as identity,
  first_time timestamptz not null,
  settled_through timestamptz,        -- event time that the partition they came by had settled before: what is older came late
  readings integer not null,
  series_ids integer[] not null,
  bodies bytea[] not null,            -- by series: its readings
  primary key (home_partition, id)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

do $$
declare
  allowed record;
begin
  for allowed in
    select * from (values
      ('relay_processor', 'select, insert, update on homes'),
      ('relay_processor', 'select, insert, update, delete on misplaced_readings'),
      ('relay_api', 'select on homes, misplaced_readings')) as a (role_name, what)
  loop
    if exists (select from pg_roles where rolname = allowed.role_name) then
      execute format('grant %s to %I', allowed.what, allowed.role_name);
    end if;
  end loop;
end
$$;
