-- As `read_event_log`, which processors of the version before go on calling, and when each batch was appended.
create function read_event_log_with_times (
  id uuid, read_partitions integer[], segments integer[], positions bigint[], bytes_max integer
) returns table (
  partition integer, start_offset bigint, next_offset bigint, segment integer, first_offset bigint, last_offset bigint,
  record_keys bytea[], record_values bytea[], appended_ms bigint
)
language plpgsql rows 100 as $$
#variable_conflict use_column
begin
  return query
  select p.partition, p.start_offset, p.next_offset,
    b.segment, b.first_offset, b.last_offset, b.record_keys, b.record_values,
    (extract(epoch from b.appended_at) * 1000)::bigint
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
