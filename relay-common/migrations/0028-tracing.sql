-- Devices whose events are traced for a while, whatever the ratio of TRACE_RATIO (`relay trace device`). Programs that trace read
-- them every few seconds.
create table traced_devices (
  device_id text collate "C" primary key,
  until timestamptz not null,
  requested_by text not null,                   -- for people
  requested_at timestamptz not null default now()
);

-- The traces of flushes, kept as long as `rollup_commits`: live streams link what they send to the flush that wrote it.
create table traced_flushes (
  xact_id xid8 primary key default pg_current_xact_id(),
  traceparent text not null,
  recorded_at timestamptz not null default clock_timestamp()
);

-- As `read_event_log_with_times`, which processors of the version before go on calling, and the headers of each batch.
create function read_event_log_with_headers (
  id uuid, read_partitions integer[], segments integer[], positions bigint[], bytes_max integer
) returns table (
  partition integer, start_offset bigint, next_offset bigint, segment integer, first_offset bigint, last_offset bigint,
  record_keys bytea[], record_values bytea[], appended_ms bigint, record_headers jsonb[]
)
language plpgsql rows 100 as $$
#variable_conflict use_column
begin
  return query
  select p.partition, p.start_offset, p.next_offset,
    b.segment, b.first_offset, b.last_offset, b.record_keys, b.record_values,
    (extract(epoch from b.appended_at) * 1000)::bigint, b.record_headers
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

do $$
declare
  allowed record;
begin
  for allowed in
    select * from (values
      ('relay_processor', 'select on traced_devices'),
      ('relay_processor', 'select, insert, update, delete on traced_flushes'),
      ('relay_api', 'select on traced_devices, traced_flushes')
    ) as a (role_name, what)
  loop
    if exists (select from pg_roles where rolname = allowed.role_name) then
      execute format('grant %s to %I', allowed.what, allowed.role_name);
    end if;
  end loop;
end
$$;
