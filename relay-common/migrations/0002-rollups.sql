-- Rollups: one table a level (minute, hour, day), all of one shape. A row is what one source partition has seen of one
-- series in one bucket, so every row has one writer: the processor that owns the partition.
--
-- Where TimescaleDB can be used the tables are hypertables, with compression and retention by its policies; elsewhere
-- they are range partitioned, and the functions below make partitions and drop them by age. What the tables became
-- stays: an extension that is installed later changes nothing.

create table rollup_levels (
  name text primary key,
  table_name text not null,
  chunk interval not null,      -- how much event time one partition (or chunk) holds; divides no bucket
  compress_after interval not null,
  retention interval            -- null: kept for ever
);

insert into rollup_levels (name, table_name, chunk, compress_after) values
  ('minute', 'rollups_minute', '7 days', '14 days'),
  ('hour', 'rollups_hour', '90 days', '180 days'),
  ('day', 'rollups_day', '3600 days', '7200 days');

-- Whether hypertables can be had. A package on the disk is not enough:
-- - the server must have the library preloaded, or CREATE EXTENSION ends the connection (the library's own settings
--   are there, for every user to see, only then);
-- - this role must be allowed to create the extension, unless somebody has done it before;
-- - the edition must be the Community one: compression and retention policies are not in the Apache one.
create function prepare_timescaledb () returns boolean language plpgsql as $$
begin
  if not exists (select from pg_extension where extname = 'timescaledb') then
    if not exists (select from pg_settings where name like 'timescaledb.%')
      or not exists (
        select from pg_available_extensions a
        join pg_available_extension_versions v on v.name = a.name and v.version = a.default_version
        where a.name = 'timescaledb' and (
          (select rolsuper from pg_roles where rolname = current_user)
          or v.trusted and has_database_privilege(current_database(), 'create')))
    then
      return false;
    end if;
    create extension timescaledb;
  end if;
  return current_setting('timescaledb.license', true) is not distinct from 'timescale';
end
$$;

do $$
declare
  timescale boolean := prepare_timescaledb();
  level rollup_levels;
begin
  for level in select * from rollup_levels loop
    execute format($sql$
      create table %I (
        series_id integer not null,
        bucket_start timestamptz not null,
        source_partition integer not null,
        count bigint not null,
        sum double precision not null,
        min double precision not null,
        max double precision not null,
        body bytea not null,   -- the exact sums, first and last, and the digest or the readings
        primary key (series_id, bucket_start, source_partition)
      ) %s $sql$,
      level.table_name,
      case when timescale then '' else 'partition by range (bucket_start)' end);

    -- in the row, and not in a table beside it: a second look-up for each row read would cost more
    execute format('alter table %I alter column body set storage main', level.table_name);

    if timescale then
      -- the key serves every query; the index on time that comes by default would only cost writes
      perform create_hypertable(
        level.table_name::regclass, by_range('bucket_start', level.chunk), create_default_indexes => false);
      -- every column of the key is in one list or the other: an upsert then unpacks the batches it may hit, no more
      execute format(
        'alter table %I set (timescaledb.compress, timescaledb.compress_segmentby = %L, '
        'timescaledb.compress_orderby = %L)',
        level.table_name, 'series_id', 'bucket_start, source_partition');
      perform add_compression_policy(level.table_name::regclass, level.compress_after);
    end if;
  end loop;
end
$$;

drop function prepare_timescaledb();

create function rollups_are_hypertables () returns boolean language sql stable as $$
  select relkind <> 'p' from pg_class where oid = 'rollups_minute'::regclass
$$;

-- Makes the partitions that hold the buckets from `first` to `last`. Two processors may ask at once: the lock makes the
-- second wait and then find the partition there.
create function ensure_rollup_partitions (level_name text, first timestamptz, last timestamptz) returns void
language plpgsql as $$
declare
  level rollup_levels;
  chunk_s bigint;
  start_s bigint;
  partition_name text;
begin
  if rollups_are_hypertables() then
    return;
  end if;
  select * into strict level from rollup_levels where name = level_name;
  chunk_s := extract(epoch from level.chunk);
  perform pg_advisory_xact_lock(hashtext('relay: rollup partitions'));

  for start_s in
    select n * chunk_s
    from generate_series(
      floor(extract(epoch from first) / chunk_s)::bigint,
      floor(extract(epoch from last) / chunk_s)::bigint) n
  loop
    partition_name := level.table_name || '_' || to_char(to_timestamp(start_s) at time zone 'utc', 'YYYYMMDD');
    -- made first and attached then: that way neither readers nor writers of the other partitions wait
    if to_regclass(quote_ident(partition_name)) is null then
      execute format('create table %I (like %I including all) with (fillfactor = 80)', partition_name, level.table_name);
      execute format('alter table %I attach partition %I for values from (%L) to (%L)',
        level.table_name, partition_name, to_timestamp(start_s), to_timestamp(start_s + chunk_s));
    end if;
  end loop;
end
$$;

-- Sets how long a level is kept (null: for ever). TimescaleDB then drops old chunks by itself; elsewhere
-- drop_old_rollups does, whenever a processor calls it.
create function set_rollup_retention (level_name text, keep interval) returns void language plpgsql as $$
declare
  level rollup_levels;
begin
  select * into strict level from rollup_levels where name = level_name for update;
  if level.retention is not distinct from keep then
    return;
  end if;
  update rollup_levels set retention = keep where name = level_name;
  if rollups_are_hypertables() then
    perform remove_retention_policy(level.table_name::regclass, if_exists => true);
    if keep is not null then
      perform add_retention_policy(level.table_name::regclass, keep);
    end if;
  end if;
end
$$;

-- Drops the partitions that are wholly older than their level's retention, and says which.
create function drop_old_rollups (now timestamptz) returns setof text language plpgsql as $$
declare
  level rollup_levels;
  old record;
begin
  if rollups_are_hypertables() then
    return;
  end if;
  perform pg_advisory_xact_lock(hashtext('relay: rollup partitions'));
  for level in select * from rollup_levels where retention is not null loop
    for old in
      select child.relname
      from pg_inherits i
      join pg_class child on child.oid = i.inhrelid
      where i.inhparent = level.table_name::regclass
        and to_timestamp(right(child.relname, 8) || ' 00:00:00+00', 'YYYYMMDD HH24:MI:SSTZH') + level.chunk <= now - level.retention
    loop
      execute format('drop table %I', old.relname);
      return next old.relname;
    end loop;
  end loop;
end
$$;
