-- What deletes by age does not trust a clock that jumps: by hand, by a wrong time server, or after a pause of the machine. A
-- jump of years would delete what is a minute old. So each of the three clocks below moves by a bounded step per look.

-- 1. The event log. Its time stands still while nobody maintains it: no jump and no pause makes records older that nobody could
-- read meanwhile. Segments are opened and dropped by this time; `appended_at` of a batch is the clock of the server.
alter table event_log_topics
  add column log_time timestamptz not null default clock_timestamp(),
  add column looked_at timestamptz not null default clock_timestamp(); -- by the clock of the server

-- a segment of a time that the clock has left again would never be old
update event_log_segments set opened_at = clock_timestamp() where opened_at > clock_timestamp();

-- as in 0004, with the time of the log
create or replace function open_event_log_segment (id uuid) returns void language plpgsql as $$
declare
  topic event_log_topics;
  topic_table text;
  next_segment integer := 1 + coalesce((select max(segment) from event_log_segments where topic_id = id), 0);
  segment_table text;
begin
  select * into topic from event_log_topics where topic_id = id;
  topic_table := 'event_log_' || topic.topic_number;
  segment_table := topic_table || '_' || next_segment;
  execute format('create table %I (like event_log_batches including all)', segment_table);
  execute format('alter table %I attach partition %I for values from (%s) to (%s)',
    topic_table, segment_table, next_segment, next_segment + 1);
  perform lock_event_log_partitions(id);
  -- A row of a partition is seen by others a moment before they are told of the new table. Whoever sees it waits here
  -- until he has been told: he would find no table for that segment.
  execute format('lock table only %I in share mode', topic_table);
  insert into event_log_segments (topic_id, segment, table_name, opened_at)
  values (id, next_segment, segment_table, topic.log_time);
  update event_log_partitions set segment = next_segment where topic_id = id;
end
$$;

-- As in 0004, by the time of the log. `clock_moved` is null, unless the clock of the server moved back or by more than a step since
-- the last look: somebody set it, or nobody looked for as long.
drop function maintain_event_log_topic (uuid);
create function maintain_event_log_topic (id uuid, out opened boolean, out dropped integer, out clock_moved interval)
language plpgsql as $$
declare
  step_max constant interval := '10 minutes'; -- programs look every minute
  back_max constant interval := '10 seconds'; -- time servers correct a clock by less
  passed interval;
  topic event_log_topics;
  newest event_log_segments;
  old event_log_segments;
begin
  opened := false;
  dropped := 0;
  if not pg_try_advisory_xact_lock(hashtextextended('event log ' || id, 0)) then
    return;
  end if;
  perform set_config('lock_timeout', '1s', true);
  select clock_timestamp() - looked_at into passed from event_log_topics where topic_id = id;
  update event_log_topics
  set log_time = log_time + greatest(interval '0', least(passed, step_max)), looked_at = clock_timestamp()
  where topic_id = id returning * into topic;
  if passed > step_max or passed < -back_max then
    clock_moved := passed;
  end if;
  select * into newest from event_log_segments where topic_id = id order by segment desc limit 1;
  if newest.opened_at <= topic.log_time - topic.segment_span and
    exists (select from event_log_batches where topic_id = id and segment = newest.segment)
  then
    perform open_event_log_segment(id);
    opened := true;
  end if;

  for old in
    select s.* from event_log_segments s
    join event_log_segments following on following.topic_id = id and following.segment = s.segment + 1
    where s.topic_id = id and following.opened_at <= topic.log_time - topic.retention
    order by s.segment
  loop
    perform lock_event_log_partitions(id);
    update event_log_partitions p
    set start_offset = greatest(p.start_offset, coalesce(
      (
        select first_offset from event_log_batches b
        where b.topic_id = id and b.partition = p.partition and b.segment > old.segment
        order by b.segment, b.last_offset
        limit 1
      ), p.next_offset))
    where p.topic_id = id;
    execute format('drop table %I', old.table_name);
    delete from event_log_segments where topic_id = id and segment = old.segment;
    dropped := dropped + 1;
  end loop;
end
$$;

-- 2. The retention of rollups. A pause has to be caught up with, for rows that are past it must go. So its time follows the clock, but
-- by a day per look at most, and a day per hour: whoever set a clock wrong has hours to notice.
create table rollup_clock (
  is_only boolean primary key default true check (is_only),
  reached_at timestamptz not null default clock_timestamp(), -- retention takes this for the current time
  looked_at timestamptz not null default clock_timestamp()   -- by the clock of the server
);
insert into rollup_clock default values;

-- Where another processor is at it, the clock stays.
create function move_rollup_clock () returns timestamptz language sql as $$
  with free as (select from rollup_clock for update skip locked),
  moved as (
    update rollup_clock set
      reached_at = least(clock_timestamp(),
        reached_at + 24 * greatest(interval '0', least(clock_timestamp() - looked_at, interval '1 hour'))),
      looked_at = clock_timestamp()
    where exists (select from free)
    returning reached_at)
  select coalesce((select reached_at from moved), (select reached_at from rollup_clock))
$$;

create or replace function drop_old_rollups () returns setof text language sql
  set lock_timeout = '500ms'
as $$ select drop_rollups_before(move_rollup_clock()) $$;

create or replace function trim_old_rollups () returns boolean language sql as $$ select trim_rollups_before(move_rollup_clock()) $$;

-- 3. Commits of rollups. Whoever remembers an answer reads what changed since, so a commit that he needs must not be gone unnoticed. Every
-- transaction before a mark had ended when it was made. Marks move on after 15 minutes by the clock, and commits before the oldest of
-- three are deleted: they are 30 minutes old at least, and 15 where the clock jumped once. Whoever remembers a position before the oldest
-- mark knows that commits may be gone.
create table rollup_commit_marks (
  is_only boolean primary key default true check (is_only),
  oldest xid8 not null default pg_snapshot_xmin(pg_current_snapshot()),
  middle xid8 not null default pg_snapshot_xmin(pg_current_snapshot()),
  newest xid8 not null default pg_snapshot_xmin(pg_current_snapshot()),
  newest_at timestamptz not null default clock_timestamp()
) with (fillfactor = 50);
insert into rollup_commit_marks default values;
drop index rollup_commits_recorded;

-- Moves the marks where it is time, and deletes some of the commits before the oldest one.
create function delete_old_commits () returns void language plpgsql as $$
declare
  step constant interval := '15 minutes';
  marks rollup_commit_marks;
  snapshot constant pg_snapshot := pg_current_snapshot();
begin
  select * into marks from rollup_commit_marks;
  if marks.newest > pg_snapshot_xmax(snapshot) then
    -- loaded from a dump of a server that had come further
    update rollup_commit_marks set oldest = pg_snapshot_xmin(snapshot), middle = pg_snapshot_xmin(snapshot),
      newest = pg_snapshot_xmin(snapshot), newest_at = now();
    return;
  end if;
  if now() - marks.newest_at not between -step and step then
    -- another processor may be moving them just now
    perform from rollup_commit_marks m where m.newest = marks.newest and m.newest_at = marks.newest_at for update skip locked;
    if found and now() > marks.newest_at then
      update rollup_commit_marks
      set oldest = middle, middle = newest, newest = pg_snapshot_xmin(snapshot), newest_at = now()
      returning * into marks;
    elsif found then -- the clock was set back
      update rollup_commit_marks set newest_at = now();
    end if;
  end if;
  -- those that another processor is deleting just now are its own
  delete from rollup_commits where ctid = any (array(
    select ctid from rollup_commits where xact_id < marks.oldest limit 1000 for update skip locked));
end
$$;

-- as in 0013
create or replace function announce_rollups (levels smallint[], buckets timestamptz[], series text[]) returns void
language plpgsql as $$
declare
  buckets_max constant integer := 200;
  newest_buckets constant integer := 3;
begin
  if cardinality(buckets) = 0 then
    return;
  end if;

  insert into rollup_commits (level, first_bucket, last_bucket, series_ids)
  with changed as materialized (
    select level, bucket, series_ids::integer[] as series_ids,
      row_number() over (partition by level order by bucket desc) as age
    from unnest(levels, buckets, series) as c (level, bucket, series_ids))
  select level, bucket, bucket, series_ids from changed
  where cardinality(buckets) <= buckets_max or age <= newest_buckets
  union all
  select level, min(bucket), max(bucket), null from changed
  where cardinality(buckets) > buckets_max and age > newest_buckets group by level;

  perform delete_old_commits();
  perform pg_notify('rollup_commits', '');
end
$$;

do $$
declare
  definer text;
  allowed record;
begin
  foreach definer in array array[
    'open_event_log_segment(uuid)', 'maintain_event_log_topic(uuid)', 'drop_old_rollups()', 'trim_old_rollups()'
  ] loop
    execute format('alter function %s security definer set search_path = %I, pg_temp', definer, current_schema());
    execute format('revoke execute on function %s from public', definer);
  end loop;
  revoke execute on function move_rollup_clock() from public;

  for allowed in
    select * from (values
      ('relay_processor', 'execute on function maintain_event_log_topic(uuid)'),
      ('relay_processor', 'select on rollup_clock'),
      ('relay_processor', 'select, update on rollup_commit_marks'),
      ('relay_api', 'execute on function maintain_event_log_topic(uuid)'),
      ('relay_api', 'select on rollup_commit_marks'),
      ('relay_producer', 'execute on function maintain_event_log_topic(uuid)')
    ) as a (role_name, what)
  loop
    if exists (select from pg_roles where rolname = allowed.role_name) then
      execute format('grant %s to %I', allowed.what, allowed.role_name);
    end if;
  end loop;
end
$$;
