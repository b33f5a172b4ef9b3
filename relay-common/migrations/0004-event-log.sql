-- The event log in PostgreSQL, for sites without Kafka.
--
--     topic -> partition -> batches, each the records of one send to one partition, in order of offset
--
-- A row is a batch, not a record. Of JSON events of 130 bytes, rows of their own take 266 bytes an event; in batches of
-- 1,000 an event takes 22 bytes (158 without compression), is written 1.4 times as fast and read 2.5 times. Views at the
-- end show records.
--
-- Tables: event_log_batches, by list of topics; event_log_<n>, one a topic, by range of segments;
-- event_log_<n>_<segment>. Segments follow one another in time, so that retention drops a table instead of deleting
-- rows. The row of a partition names the segment that takes its appends: both grow together, in order of offset.

create table event_log_topics (
  topic_id uuid primary key default gen_random_uuid(),
  topic_number integer generated always as identity,   -- names the topic's tables
  topic text collate "C" not null unique,
  partitions integer not null check (partitions > 0),
  retention interval not null,
  segment_span interval not null                       -- how long a segment takes appends
);

-- The lock on a row here orders the appends to a partition. It is held until the commit, so offsets become visible in
-- order, and one that was rolled back is given again: there are no holes.
create table event_log_partitions (
  topic_id uuid not null references event_log_topics on delete cascade,
  partition integer not null,
  next_offset bigint not null default 0,
  start_offset bigint not null default 0,              -- what is before may still be stored; nobody reads it
  segment integer not null,
  primary key (topic_id, partition)
) with (fillfactor = 50);                              -- every append updates one: room for that in the same page

create table event_log_segments (
  topic_id uuid not null references event_log_topics on delete cascade,
  segment integer not null,
  table_name text not null,
  opened_at timestamptz not null default clock_timestamp(),
  primary key (topic_id, segment)
);

create table event_log_batches (
  topic_id uuid not null,
  partition integer not null,
  segment integer not null,
  first_offset bigint not null,
  last_offset bigint not null,
  appended_at timestamptz not null,
  size_bytes integer not null,                         -- of keys and values, before compression
  record_keys bytea[] not null,
  record_values bytea[] not null,
  record_headers jsonb[],                              -- null: no record of the batch has any
  primary key (topic_id, partition, segment, last_offset)
) partition by list (topic_id);

do $$
begin
  alter table event_log_batches
    alter column record_keys set compression lz4, alter column record_values set compression lz4;
exception when feature_not_supported then
  null; -- a server that was built without lz4 compresses with pglz, at a third of the appends' time
end
$$;

create function create_event_log_topic (name text, partition_count integer, keep interval) returns void
language plpgsql as $$
declare
  created event_log_topics;
  topic_table text;
begin
  -- who comes second waits here until the first one has committed
  insert into event_log_topics (topic, partitions, retention, segment_span)
  values (name, partition_count, keep, greatest(keep / 12, interval '1 minute'))
  on conflict (topic) do nothing
  returning * into created;
  if not found then
    return;
  end if;
  topic_table := 'event_log_' || created.topic_number;
  execute format('create table %I (like event_log_batches including all) partition by range (segment)', topic_table);
  execute format('alter table event_log_batches attach partition %I for values in (%L)', topic_table, created.topic_id);
  insert into event_log_partitions (topic_id, partition, segment)
  select created.topic_id, n, 0 from generate_series(0, partition_count - 1) n;
  perform open_event_log_segment(created.topic_id);
end
$$;

-- Keys go to other partitions from then on: records of a key are in order within a partition alone.
create function add_event_log_partitions (name text, partition_count integer) returns void language plpgsql as $$
declare
  grown event_log_topics;
begin
  update event_log_topics set partitions = partition_count where topic = name and partitions < partition_count
  returning * into grown;
  if found then
    perform lock_event_log_partitions(grown.topic_id); -- no segment is opened meanwhile
    insert into event_log_partitions (topic_id, partition, segment)
    select grown.topic_id, n, (select max(segment) from event_log_segments where topic_id = grown.topic_id)
    from generate_series(0, partition_count - 1) n
    on conflict do nothing;
  end if;
end
$$;

-- Waits until nobody appends to a topic, and keeps it so until the commit. Always from the first partition to the last,
-- as the appends do, and always before a lock on the tables: nobody waits for one who waits for him.
create function lock_event_log_partitions (id uuid) returns void language plpgsql as $$
begin
  perform from event_log_partitions where topic_id = id order by partition for no key update;
end
$$;

-- Appends go to a new segment from the commit on.
create function open_event_log_segment (id uuid) returns void language plpgsql as $$
declare
  topic_table text := 'event_log_' || (select topic_number from event_log_topics where topic_id = id);
  next_segment integer := 1 + coalesce((select max(segment) from event_log_segments where topic_id = id), 0);
  segment_table text := topic_table || '_' || next_segment;
begin
  execute format('create table %I (like event_log_batches including all)', segment_table);
  execute format('alter table %I attach partition %I for values from (%s) to (%s)',
    topic_table, segment_table, next_segment, next_segment + 1);
  perform lock_event_log_partitions(id);
  -- A row of a partition is seen by others a moment before they are told of the new table. Whoever sees it waits here
  -- until he has been told: he would find no table for that segment.
  execute format('lock table only %I in share mode', topic_table);
  insert into event_log_segments (topic_id, segment, table_name) values (id, next_segment, segment_table);
  update event_log_partitions set segment = next_segment where topic_id = id;
end
$$;

-- Opens a segment when the newest one has had its time, and drops those whose records are all older than the
-- retention: a segment has its last record when the next one is opened. Whoever uses the log calls this now and then;
-- where somebody is at it, or a long query of the log keeps its tables, nothing happens, and the next call will do.
create function maintain_event_log_topic (id uuid, out opened boolean, out dropped integer) language plpgsql as $$
declare
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
  select * into topic from event_log_topics where topic_id = id;
  select * into newest from event_log_segments where topic_id = id order by segment desc limit 1;
  if newest.opened_at <= clock_timestamp() - topic.segment_span and
    exists (select from event_log_batches where topic_id = id and segment = newest.segment)
  then
    perform open_event_log_segment(id);
    opened := true;
  end if;

  for old in
    select s.* from event_log_segments s
    join event_log_segments following on following.topic_id = id and following.segment = s.segment + 1
    where s.topic_id = id and following.opened_at <= clock_timestamp() - topic.retention
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

create function drop_event_log_topic (name text) returns void language plpgsql as $$
declare
  gone event_log_topics;
begin
  select * into gone from event_log_topics where topic = name;
  if not found then
    return;
  end if;
  perform pg_advisory_xact_lock(hashtextextended('event log ' || gone.topic_id, 0));
  perform lock_event_log_partitions(gone.topic_id);
  execute format('drop table if exists %I', 'event_log_' || gone.topic_number);
  delete from event_log_topics where topic_id = gone.topic_id;
end
$$;

-- Appends batches and wakes who waits for them. Batch i has batch_counts[i] of the records, which lie one behind the
-- other in the three arrays, in the order of the batches. Partitions must ascend, over all calls of a transaction: two
-- that append to the same ones take their locks in the same order.
create function append_to_event_log (
  id uuid, batch_partitions integer[], batch_counts integer[], batch_sizes integer[],
  record_keys bytea[], record_values bytea[], record_headers jsonb[]
) returns void
language plpgsql as $$
declare
  batch record;
  place record;
  first_record integer := 1;
  last_record integer;
begin
  for batch in
    select * from unnest(batch_partitions, batch_counts, batch_sizes) as b (partition, record_count, size_bytes)
  loop
    update event_log_partitions p set next_offset = p.next_offset + batch.record_count
    where p.topic_id = id and p.partition = batch.partition
    returning p.segment, p.next_offset into place;
    if not found then
      raise exception using errcode = 'no_data_found',
        message = format('no partition %s of topic %s', batch.partition, id);
    end if;
    last_record := first_record + batch.record_count - 1;
    insert into event_log_batches values (
      id, batch.partition, place.segment, place.next_offset - batch.record_count, place.next_offset - 1,
      clock_timestamp(), batch.size_bytes,
      record_keys[first_record:last_record], record_values[first_record:last_record],
      record_headers[first_record:last_record]
    );
    first_record := last_record + 1;
  end loop;
  perform pg_notify('event_log:' || id, '');
end
$$;

-- The next batches of several partitions, each from the one that holds `positions[i]`, until `bytes_max` are reached:
-- at least one where there is any. A partition without a batch to read is one row all the same, with its first and next
-- offset. `segments[i]` is where that position is or a segment before it: tables of older ones are not looked at.
create function read_event_log (
  id uuid, read_partitions integer[], segments integer[], positions bigint[], bytes_max integer
) returns table (
  partition integer, start_offset bigint, next_offset bigint, segment integer, first_offset bigint, last_offset bigint,
  record_keys bytea[], record_values bytea[]
)
language plpgsql rows 100 as $$
#variable_conflict use_column
begin
  return query
  select p.partition, p.start_offset, p.next_offset,
    b.segment, b.first_offset, b.last_offset, b.record_keys, b.record_values
  from unnest(read_partitions, segments, positions) as wanted (partition, segment, read_position)
  join event_log_partitions p on p.topic_id = id and p.partition = wanted.partition
  left join lateral (
    select near.*, sum(near.size_bytes) over (order by near.last_offset) - near.size_bytes as bytes_before
    from (
      select * from event_log_batches stored
      where stored.topic_id = id and stored.partition = wanted.partition and stored.segment >= wanted.segment
        and stored.last_offset >= wanted.read_position
      order by stored.segment, stored.last_offset
      limit 500
    ) near
  ) b on b.bytes_before < bytes_max and wanted.read_position >= p.start_offset
  order by p.partition, b.first_offset;
end
$$;

-- Members of the groups that read. A member holds its leases as long as it is heard of; the clock is the server's.
create table event_log_members (
  topic_id uuid not null references event_log_topics on delete cascade,
  group_name text not null,
  member text collate "C" not null,                    -- its instance name where it has one
  session_id uuid not null,                            -- of the process: a new one under the same name takes over
  session_timeout interval not null,
  expires_at timestamptz not null,
  primary key (topic_id, group_name, member)
) with (fillfactor = 50);

create table event_log_leases (
  topic_id uuid not null,
  group_name text not null,
  partition integer not null,
  lease_id bigint generated always as identity,        -- the same partition, leased again, is another lease
  member text collate "C" not null,
  granted_at timestamptz not null default clock_timestamp(),
  revoked_at timestamptz,                              -- asked back; up for others when it is released
  primary key (topic_id, group_name, partition),
  foreign key (topic_id, group_name, member) references event_log_members on delete cascade
);

create index event_log_leases_member on event_log_leases (topic_id, group_name, member);

-- Records, one a row.
create view event_log as
  select t.topic, b.partition, b.first_offset + r.n - 1 as record_offset, b.appended_at, r.key, r.value, r.headers
  from event_log_batches b
  join event_log_topics t using (topic_id)
  join event_log_partitions p using (topic_id, partition)
  cross join lateral unnest(b.record_keys, b.record_values, b.record_headers)
    with ordinality as r (key, value, headers, n)
  where b.first_offset + r.n - 1 >= p.start_offset;

create function utf8_or_null (bytes bytea) returns text language plpgsql immutable strict parallel safe as $$
begin
  return convert_from(bytes, 'UTF8');
exception when character_not_in_repertoire or untranslatable_character then
  return null;
end
$$;

-- Events that could not be taken, and why: `value` is null where the bytes are no text, `value_bytes` are what came.
create view dead_letters as
  select topic, partition, record_offset, appended_at, headers, utf8_or_null(key) as key, utf8_or_null(value) as value,
    value as value_bytes
  from event_log
  where topic like '%.dead-letters';
