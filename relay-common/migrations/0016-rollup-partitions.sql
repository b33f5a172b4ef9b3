-- The number of partitions is bounded, however event times are spread. Each level has small partitions (`chunk`) for the
-- newest event time alone (`recent`) and large ones (`merged`) for all other:
--
--     1970                                                      now - recent              now
--     |------------------|------------------|------------------|--|--|--|--|--|--|--|--|--|
--           merged             merged             merged            chunk, in a unit that is not over yet
--
-- Units of `merged` and of `chunk` are multiples since 1970, and chunks nest in units. A partition that is made takes the
-- unit or chunk of its time, as far as no other partition has it: so partitions never overlap. As time passes, the small
-- partitions of a unit are merged into one (merge_old_rollups, at the end of this file).
alter table rollup_levels
  add column merged interval,
  add column recent interval,
  add constraint rollup_levels_retention_check check (retention >= interval '1 day');

update rollup_levels l set chunk = v.chunk, merged = v.merged, recent = v.recent
from (values
  ('minute', interval '7 days', interval '364 days', interval '91 days'),
  ('hour', interval '180 days', interval '3600 days', interval '360 days'),
  ('day', interval '36000 days', interval '36000 days', interval '3600 days'),
  ('arrivals', interval '180 days', interval '3600 days', interval '360 days')) as v (name, chunk, merged, recent)
where l.name = v.name;

alter table rollup_levels alter column merged set not null, alter column recent set not null;

-- The partitions (or chunks) that there are, by level. Bounds are written and read in one form, whatever the session has.
create function list_rollup_partitions ()
returns table (level text, partition regclass, starts timestamptz, ends timestamptz)
language plpgsql stable rows 200 set timezone = 'UTC' set datestyle = 'ISO' as $$
begin
  if rollups_are_hypertables() then
    return query execute $sql$
      select l.name, format('%I.%I', c.chunk_schema, c.chunk_name)::regclass, c.range_start, c.range_end
      from rollup_levels l
      join timescaledb_information.chunks c on c.hypertable_name = l.table_name and c.hypertable_schema = current_schema() $sql$;
  else
    return query
      select l.name, c.oid::regclass, b.bounds[1]::timestamptz, b.bounds[2]::timestamptz
      from rollup_levels l
      join pg_inherits i on i.inhparent = to_regclass(quote_ident(l.table_name))
      join pg_class c on c.oid = i.inhrelid
      cross join regexp_match(pg_get_expr(c.relpartbound, c.oid), $re$FROM \('(.+)'\) TO \('(.+)'\)$re$) as b (bounds);
  end if;
end
$$;

create view rollup_partitions as select * from list_rollup_partitions();

-- The unit or chunk that a time belongs to, before other partitions are looked at.
create function rollup_partition_bounds (
  at timestamptz, asked_at timestamptz, chunk interval, merged interval, recent interval,
  out starts timestamptz, out ends timestamptz
) language plpgsql immutable as $$
declare
  at_s numeric := extract(epoch from at);
  chunk_s numeric := extract(epoch from chunk);
  merged_s numeric := extract(epoch from merged);
  unit_s numeric := floor(at_s / merged_s) * merged_s;
begin
  if to_timestamp(unit_s + merged_s) <= asked_at - recent or to_timestamp(unit_s) >= asked_at + recent then
    starts := to_timestamp(unit_s);
    ends := to_timestamp(unit_s + merged_s);
  else
    starts := to_timestamp(floor(at_s / chunk_s) * chunk_s);
    ends := starts + make_interval(secs => chunk_s::double precision);
  end if;
end
$$;

-- Makes the partition that holds a time, if there is none. Two processors may ask at once: the lock makes the second
-- wait and then find the partition there.
create function make_rollup_partition (
  level_name text, at timestamptz, asked_at timestamptz, out starts timestamptz, out ends timestamptz
) language plpgsql as $$
declare
  level rollup_levels;
  partition_name text;
  before timestamptz;
  after timestamptz;
begin
  select * into strict level from rollup_levels where name = level_name;
  perform pg_advisory_xact_lock(hashtext('relay: rollup partitions'));
  select p.starts, p.ends into starts, ends from rollup_partitions p where p.level = level_name and p.starts <= at and p.ends > at;
  if found then
    return;
  end if;

  select b.starts, b.ends into starts, ends
  from rollup_partition_bounds(at, asked_at, level.chunk, level.merged, level.recent) b;
  select max(p.ends) filter (where p.ends <= at), min(p.starts) filter (where p.starts > at) into before, after
  from rollup_partitions p where p.level = level_name;
  starts := greatest(starts, before);
  ends := least(ends, after);

  if rollups_are_hypertables() then -- TimescaleDB would make all of them as large as a chunk
    execute 'select _timescaledb_functions.create_chunk($1, $2)' using level.table_name::regclass, jsonb_build_object(
      'bucket_start', jsonb_build_array(
        (extract(epoch from starts) * 1000000)::bigint, (extract(epoch from ends) * 1000000)::bigint));
    return;
  end if;

  -- the end is in the name where it is not that of a chunk: the name may be that of one which is being merged
  partition_name := level.table_name || to_char(starts at time zone 'utc', '_YYYYMMDD') ||
    case when ends - starts = level.chunk then '' else to_char(ends at time zone 'utc', '_YYYYMMDD') end;
  -- made first and attached then: that way neither readers nor writers of the other partitions wait
  execute format('create table %I (like %I including all) with (fillfactor = 80)', partition_name, level.table_name);
  execute format('alter table %I attach partition %I for values from (%L) to (%L)',
    level.table_name, partition_name, starts, ends);
end
$$;

-- Makes the partitions that hold the buckets from `first` to `last`.
drop function ensure_rollup_partitions (text, timestamptz, timestamptz);
create function ensure_rollup_partitions (level_name text, first timestamptz, last timestamptz)
returns table (starts timestamptz, ends timestamptz) language plpgsql as $$
declare
  at timestamptz := first;
begin
  if first < '1970-01-01Z' or last > now() + interval '100 years' or last < first then
    raise datetime_field_overflow using message = format('no event is between %s and %s', first, last);
  end if;
  loop
    select p.starts, p.ends into starts, ends from make_rollup_partition(level_name, at, now()) p;
    return next;
    exit when ends > last;
    at := ends;
  end loop;
end
$$;

-- Retention. Only the owner sets it; programs apply it, and by the clock of the database.
create or replace function set_rollup_retention (level_name text, keep interval) returns void language plpgsql as $$
begin
  perform from rollup_levels where name = level_name for update;
  if not found then
    raise no_data_found using message = format('there is no level %s', level_name);
  end if;
  update rollup_levels set retention = keep where name = level_name and retention is distinct from keep;
end
$$;

-- TimescaleDB's policy drops all old chunks in one transaction, which takes a lock for each: with thousands of them it
-- fails. drop_old_rollups does it in slices.
do $$
declare
  level rollup_levels;
begin
  if rollups_are_hypertables() then
    for level in select * from rollup_levels loop
      perform remove_retention_policy(level.table_name::regclass, if_exists => true);
    end loop;
  end if;
end
$$;

-- Drops some of the partitions that are wholly older than the retention of their level, and says which: to be called
-- again until there are none. A few at a time: each takes locks until the commit, and readers of the level wait.
create function drop_rollups_before (asked_at timestamptz) returns setof text language plpgsql as $$
declare
  partitions_max constant integer := 10;
  old record;
  newest timestamptz;
begin
  perform pg_advisory_xact_lock(hashtext('relay: rollup partitions'));
  for old in
    select l.table_name, p.partition, p.partition::text as name, p.ends from rollup_partitions p join rollup_levels l on l.name = p.level
    where p.ends <= asked_at - l.retention
    order by l.name, p.ends limit partitions_max
  loop
    if rollups_are_hypertables() then
      perform drop_chunks(old.table_name::regclass, older_than => old.ends);
    else
      perform abandon_rollup_merge(old.partition);
      execute format('drop table %s', old.partition);
    end if;
    return next old.name; -- once it is gone it has none
  end loop;
end
$$;

drop function drop_old_rollups (timestamptz);
create function drop_old_rollups () returns setof text language sql
  set lock_timeout = '500ms'
as $$ select * from drop_rollups_before(now()) $$;

-- Large partitions hold what is past retention beside what is not: its rows are deleted, some pages at a time, once it
-- is a tenth of the retention past it (at least a week, at most 30 days). How far that has come, by partition:
create table rollup_trims (
  partition oid primary key,
  cut timestamptz not null,        -- rows before are deleted, or being deleted
  next_page bigint                 -- null: they are
);

-- Deletes some; to be called again until it says false.
create function trim_rollups_before (asked_at timestamptz) returns boolean language plpgsql as $$
declare
  pages_max constant bigint := 2000;
  old record;
  trim rollup_trims;
begin
  if rollups_are_hypertables() then
    return false; -- what is in compressed batches can't be walked by pages: chunks leave as a whole
  end if;
  if not pg_try_advisory_xact_lock(hashtext('relay: rollup trims')) then
    return false;
  end if;
  delete from rollup_trims t where not exists (select from pg_class c where c.oid = t.partition);
  for old in
    select p.partition::oid as oid, p.partition, p.starts, asked_at - l.retention as cut,
      greatest(interval '7 days', least(interval '30 days', l.retention / 10)) as step
    from rollup_partitions p join rollup_levels l on l.name = p.level
    where p.starts < asked_at - l.retention and p.ends > asked_at - l.retention
  loop
    select * into trim from rollup_trims t where t.partition = old.oid;
    if not found or trim.next_page is null then
      continue when old.cut - coalesce(trim.cut, old.starts) < old.step;
      insert into rollup_trims as t values (old.oid, old.cut, 0)
      on conflict (partition) do update set cut = excluded.cut, next_page = 0
      returning * into trim;
    end if;
    execute format('delete from %s where ctid >= %L and ctid < %L and bucket_start < %L', old.partition,
      format('(%s,0)', trim.next_page), format('(%s,0)', trim.next_page + pages_max), trim.cut);
    update rollup_trims t
    set next_page = case
      when trim.next_page + pages_max < pg_relation_size(old.oid) / current_setting('block_size')::bigint
      then trim.next_page + pages_max end
    where t.partition = old.oid;
    return true;
  end loop;
  return false;
end
$$;

create function trim_old_rollups () returns boolean language sql as $$ select trim_rollups_before(now()) $$;

-- Merging. A merge takes many short transactions, by whichever processors; each step is one of them, so that what is
-- killed in the middle goes on from the last commit:
--
--     begin    a table of its own (the target), and triggers that note which rows of the sources change    sources live
--     copy     the sources' rows, in the order of their keys, some thousand at a time                      sources live
--     apply    rows that were noted: what the sources have of them now, in place of what the target has    sources live
--     swap     the last noted rows; sources dropped, target attached: for some ms nobody else is there     target lives
--
-- Whoever reads sees the sources or the target, both of them whole.
create table rollup_merges (
  merge_id integer generated always as identity primary key,
  level text not null unique,
  starts timestamptz not null,
  ends timestamptz not null,
  target text not null,
  sources oid[] not null,
  copying integer not null default 1,  -- which of the sources is being copied, behind the key below
  series_id integer not null default -2147483648,
  bucket_start timestamptz not null default '-infinity',
  source_partition integer not null default -2147483648,
  refusals integer not null default 0  -- how often the locks of the swap could not be had
);

create table rollup_merge_changes (
  change_id bigint generated always as identity primary key,
  merge_id integer not null,
  series_id integer not null,
  bucket_start timestamptz not null,
  source_partition integer not null
);

create function note_rollup_change () returns trigger language plpgsql as $$
begin
  if tg_op <> 'INSERT' then
    insert into rollup_merge_changes (merge_id, series_id, bucket_start, source_partition)
    values (tg_argv[0]::integer, old.series_id, old.bucket_start, old.source_partition);
  end if;
  if tg_op = 'INSERT' or tg_op = 'UPDATE'
    and (new.series_id, new.bucket_start, new.source_partition) <> (old.series_id, old.bucket_start, old.source_partition)
  then
    insert into rollup_merge_changes (merge_id, series_id, bucket_start, source_partition)
    values (tg_argv[0]::integer, new.series_id, new.bucket_start, new.source_partition);
  end if;
  return null;
end
$$;

-- Notes changes of all partitions of the merge's stretch that are no sources yet.
create function add_merge_sources (merge rollup_merges) returns rollup_merges language plpgsql as $$
declare
  source record;
begin
  for source in
    select p.partition from rollup_partitions p
    where p.level = merge.level and p.starts >= merge.starts and p.ends <= merge.ends and p.partition::oid <> all (merge.sources)
    order by p.starts
  loop
    execute format('create trigger note_rollup_change after insert or update or delete on %s '
      'for each row execute function note_rollup_change(%L)', source.partition, merge.merge_id);
    merge.sources := merge.sources || source.partition::oid;
  end loop;
  update rollup_merges m set sources = merge.sources where m.merge_id = merge.merge_id;
  return merge;
end
$$;

-- Gives up the merge that a partition is a source of, as the partition is going to be dropped.
create function abandon_rollup_merge (source oid) returns void language plpgsql as $$
declare
  merge rollup_merges;
  other oid;
begin
  delete from rollup_merges m where source = any (m.sources) returning * into merge;
  if not found then
    return;
  end if;
  delete from rollup_merge_changes c where c.merge_id = merge.merge_id;
  execute format('drop table %I', merge.target);
  foreach other in array merge.sources loop
    execute format('drop trigger note_rollup_change on %s', other::regclass);
  end loop;
end
$$;

-- Begins to merge the first unit that is over and has several partitions. What retention is about to drop is not worth it.
create function begin_rollup_merge (asked_at timestamptz) returns boolean language plpgsql as $$
declare
  unit record;
  merge rollup_merges;
  parent text;
begin
  select u.* into unit from (
    select l.name, l.table_name, l.retention, l.recent, b.starts, b.ends, count(*) as partitions
    from rollup_levels l
    join rollup_partitions p on p.level = l.name
    -- asked as if all were over: the unit
    cross join rollup_partition_bounds(p.starts, 'infinity', l.chunk, l.merged, l.recent) b
    where p.ends <= b.ends
    group by l.name, b.starts, b.ends) u
  where u.partitions > 1 and u.ends <= asked_at - u.recent and (u.retention is null or u.starts >= asked_at - u.retention)
  order by u.name, u.starts limit 1;
  if not found then
    return false;
  end if;
  parent := unit.table_name;
  insert into rollup_merges as m (level, starts, ends, target, sources)
  values (unit.name, unit.starts, unit.ends,
    parent || to_char(unit.starts at time zone 'utc', '_YYYYMMDD') || to_char(unit.ends at time zone 'utc', '_YYYYMMDD') || '_merged', '{}')
  returning * into merge;
  execute format('create table %I (like %I including all)', merge.target, parent);
  execute format('alter table %I add constraint merged check (bucket_start >= %L and bucket_start < %L)',
    merge.target, merge.starts, merge.ends);
  perform add_merge_sources(merge);
  return true;
end
$$;

-- Copies at most so many rows. How many it has copied: fewer only where there are no more.
create function copy_merge_rows (merge rollup_merges, rows_max integer) returns integer language plpgsql
  set enable_seqscan = off set enable_bitmapscan = off
as $$
declare
  copied integer := 0;
  slice record;
begin
  while copied < rows_max and merge.copying <= cardinality(merge.sources) loop
    -- a row that is there was noted and applied before: it is no older than this one
    execute format($sql$
      with slice as materialized (
        select * from %s where (series_id, bucket_start, source_partition) > ($1, $2, $3)
        order by series_id, bucket_start, source_partition limit $4),
      copied as (insert into %I select * from slice on conflict do nothing)
      select count(*)::integer as rows, (array_agg(s.series_id order by s.series_id desc, s.bucket_start desc, s.source_partition desc))[1] as series_id,
        (array_agg(s.bucket_start order by s.series_id desc, s.bucket_start desc, s.source_partition desc))[1] as bucket_start,
        (array_agg(s.source_partition order by s.series_id desc, s.bucket_start desc, s.source_partition desc))[1] as source_partition
      from slice s $sql$, merge.sources[merge.copying]::regclass, merge.target)
    into slice using merge.series_id, merge.bucket_start, merge.source_partition, rows_max - copied;
    if slice.rows < rows_max - copied then
      merge.copying := merge.copying + 1;
      merge.series_id := -2147483648;
      merge.bucket_start := '-infinity';
      merge.source_partition := -2147483648;
    else
      merge.series_id := slice.series_id;
      merge.bucket_start := slice.bucket_start;
      merge.source_partition := slice.source_partition;
    end if;
    copied := copied + slice.rows;
  end loop;
  update rollup_merges m
  set copying = merge.copying, series_id = merge.series_id, bucket_start = merge.bucket_start, source_partition = merge.source_partition
  where m.merge_id = merge.merge_id;
  return copied;
end
$$;

-- Brings at most so many noted rows of the target up to date. How many notes it has taken: fewer only where there are no more.
create function apply_merge_changes (merge rollup_merges, changes_max integer) returns integer language plpgsql as $$
declare
  parent text := (select table_name from rollup_levels where name = merge.level);
  taken record;
begin
  -- the notes first: the statements behind this one see whatever was written by those that it sees
  with gone as (
    delete from rollup_merge_changes where change_id in (
      select change_id from rollup_merge_changes where merge_id = merge.merge_id order by change_id limit changes_max)
    returning series_id, bucket_start, source_partition),
  keys as (select series_id, bucket_start, source_partition, count(*) as notes from gone group by 1, 2, 3)
  select array_agg(series_id) as series, array_agg(bucket_start) as buckets, array_agg(source_partition) as partitions,
    coalesce(sum(notes), 0)::integer as notes
  into taken from keys;
  if taken.notes = 0 then
    return 0;
  end if;
  execute format($sql$
    delete from %I t using unnest($1, $2, $3) as k (series_id, bucket_start, source_partition)
    where t.series_id = k.series_id and t.bucket_start = k.bucket_start and t.source_partition = k.source_partition $sql$,
    merge.target) using taken.series, taken.buckets, taken.partitions;
  execute format($sql$
    insert into %I select r.* from unnest($1, $2, $3) as k (series_id, bucket_start, source_partition)
    cross join lateral (
      select * from %I r
      where r.series_id = k.series_id and r.bucket_start = k.bucket_start and r.source_partition = k.source_partition
        and r.bucket_start >= %L and r.bucket_start < %L
      limit 1) r $sql$,
    merge.target, parent, merge.starts, merge.ends) using taken.series, taken.buckets, taken.partitions;
  return taken.notes;
end
$$;

-- Puts the target in place of the sources, with nobody else there: the rows that are left to apply are few.
create function swap_merged_rollups (merge rollup_merges) returns void language plpgsql as $$
declare
  parent text := (select table_name from rollup_levels where name = merge.level);
begin
  execute format('lock table only %I in access exclusive mode', parent);
  while apply_merge_changes(merge, 1000) > 0 loop
  end loop;
  -- all in one statement: after each one the parent's list of partitions is made again
  execute 'drop table ' || (select string_agg(source::regclass::text, ', ') from unnest(merge.sources) source);
  execute format('alter table %I attach partition %I for values from (%L) to (%L)', parent, merge.target, merge.starts, merge.ends);
  execute format('alter table %I drop constraint merged', merge.target);
  delete from rollup_merges m where m.merge_id = merge.merge_id;
end
$$;

-- One step: `done` where there is nothing to merge, `busy` where another session is at it, `wait` where locks could not be
-- had for now, else `again`.
create function merge_rollups_before (asked_at timestamptz) returns text language plpgsql
  set lock_timeout = '200ms'
as $$
declare
  rows_max constant integer := 5000;
  merge rollup_merges;
begin
  if rollups_are_hypertables() then
    return merge_chunks_before(asked_at);
  end if;
  -- under any other one snapshot is that of all steps: what was written before a lock was had would be missed
  if current_setting('transaction_isolation') <> 'read committed' then
    raise invalid_transaction_state using message = 'rollups are merged in transactions that are read committed';
  end if;
  if not pg_try_advisory_xact_lock(hashtext('relay: rollup merges')) then
    return 'busy';
  end if;
  begin
    select * into merge from rollup_merges m order by m.merge_id limit 1 for update;
    if not found then
      perform pg_advisory_xact_lock(hashtext('relay: rollup partitions')); -- nobody makes or drops one meanwhile
      return case when begin_rollup_merge(asked_at) then 'again' else 'done' end;
    end if;
    if merge.copying <= cardinality(merge.sources) then
      if copy_merge_rows(merge, rows_max) < rows_max then
        execute format('analyze %I', merge.target);
      end if;
      return 'again';
    end if;
    if apply_merge_changes(merge, rows_max) = rows_max then
      return 'again';
    end if;
    perform pg_advisory_xact_lock(hashtext('relay: rollup partitions'));
    merge := add_merge_sources(merge); -- partitions that were made since
    if merge.copying <= cardinality(merge.sources) then
      return 'again';
    end if;
    -- new readers wait as long as this does: at first shortly, and longer where there is always one
    perform set_config('lock_timeout', least(2000, 100 * (1 + merge.refusals)) || 'ms', true);
    perform swap_merged_rollups(merge);
    return 'again';
  exception
    when lock_not_available or deadlock_detected then
      update rollup_merges set refusals = refusals + 1;
      return 'wait';
  end;
end
$$;

-- With TimescaleDB: chunks that lie side by side are merged by its own function, some at a time, and gaps between them are
-- filled before. Nobody reads or writes those chunks meanwhile.
create function merge_chunks_before (asked_at timestamptz) returns text language plpgsql as $$
declare
  chunks_max constant integer := 13;
  unit record;
  gap timestamptz;
begin
  if not exists (select from pg_proc where proname = 'merge_chunks') then
    return 'done'; -- it is there from TimescaleDB 2.18 on
  end if;
  if not pg_try_advisory_xact_lock(hashtext('relay: rollup merges')) then
    return 'busy';
  end if;
  begin
    perform pg_advisory_xact_lock(hashtext('relay: rollup partitions'));
    select u.* into unit from (
      select l.name, l.recent, l.retention, b.starts, b.ends, array_agg(p.partition order by p.starts) as chunks,
        array_agg(p.starts order by p.starts) as chunk_starts, array_agg(p.ends order by p.starts) as chunk_ends
      from rollup_levels l
      join rollup_partitions p on p.level = l.name
      cross join rollup_partition_bounds(p.starts, 'infinity', l.chunk, l.merged, l.recent) b
      where p.ends <= b.ends
      group by l.name, b.starts, b.ends) u
    where cardinality(u.chunks) > 1 and u.ends <= asked_at - u.recent
      and (u.retention is null or u.starts >= asked_at - u.retention)
    order by u.name, u.starts limit 1;
    if not found then
      return 'done';
    end if;
    select unit.chunk_ends[n] into gap from generate_series(1, cardinality(unit.chunks) - 1) n
    where unit.chunk_ends[n] < unit.chunk_starts[n + 1] order by n limit 1;
    if gap is not null then
      perform make_rollup_partition(unit.name, gap, asked_at);
    else
      execute 'call merge_chunks($1)' using unit.chunks[1:chunks_max];
    end if;
    return 'again';
  exception when lock_not_available or deadlock_detected then
    return 'wait';
  end;
end
$$;

create function merge_old_rollups () returns text language sql as $$ select merge_rollups_before(now()) $$;

-- Who may call what. Functions with the owner's rights find what they name where it is now, whatever their caller has made.
do $$
declare
  definer text;
  allowed record;
begin
  foreach definer in array array[
    'ensure_rollup_partitions(text, timestamptz, timestamptz)', 'set_rollup_retention(text, interval)', 'drop_old_rollups()',
    'trim_old_rollups()', 'merge_old_rollups()', 'note_rollup_change()'
  ] loop
    execute format('alter function %s security definer set search_path = %I, pg_temp', definer, current_schema());
  end loop;
  execute format('alter function list_rollup_partitions() set search_path = %I, pg_temp', current_schema());
  foreach definer in array array[
    'ensure_rollup_partitions(text, timestamptz, timestamptz)', 'set_rollup_retention(text, interval)', 'drop_old_rollups()',
    'trim_old_rollups()', 'merge_old_rollups()', 'note_rollup_change()',
    'make_rollup_partition(text, timestamptz, timestamptz)', 'drop_rollups_before(timestamptz)', 'trim_rollups_before(timestamptz)',
    'merge_rollups_before(timestamptz)', 'merge_chunks_before(timestamptz)', 'begin_rollup_merge(timestamptz)',
    'add_merge_sources(rollup_merges)', 'abandon_rollup_merge(oid)', 'copy_merge_rows(rollup_merges, integer)',
    'apply_merge_changes(rollup_merges, integer)', 'swap_merged_rollups(rollup_merges)'
  ] loop
    execute format('revoke execute on function %s from public', definer);
  end loop;

  for allowed in
    select * from (values
      ('relay_processor', 'select on rollup_partitions'),
      ('relay_processor', 'execute on function ensure_rollup_partitions(text, timestamptz, timestamptz)'),
      ('relay_processor', 'execute on function drop_old_rollups()'),
      ('relay_processor', 'execute on function trim_old_rollups()'),
      ('relay_processor', 'execute on function merge_old_rollups()'),
      ('relay_api', 'select on rollup_partitions')
    ) as a (role_name, what)
  loop
    if exists (select from pg_roles where rolname = allowed.role_name) then
      execute format('grant %s to %I', allowed.what, allowed.role_name);
    end if;
  end loop;

  -- it has set the retention until now, to whatever a processor was told
  if exists (select from pg_roles where rolname = 'relay_processor') then
    revoke execute on function set_rollup_retention(text, interval) from relay_processor;
  end if;
end
$$;
