-- How far each partition has been read into the rollups. It moves in the same transaction as the rollups, and only for
-- the owner that holds the newest epoch: whoever takes a partition over raises the epoch and so fences the one before.
create table progress (
  topic_id uuid not null,
  source_partition integer not null,
  event_log text not null check (event_log in ('kafka', 'postgres')),
  topic text not null,
  epoch bigint not null,
  owner text not null,
  next_offset bigint not null,
  event_time_max timestamptz,   -- newest event time in the rollups of this partition
  updated_at timestamptz not null default now(),
  primary key (topic_id, source_partition)
);

-- Stretches of the event log that were gone before they could be read: retention overtook the processor, or the topic
-- was made anew. Never passed over in silence: the operator's policy decides whether to stop or to go on.
create table gaps (
  gap_id bigint generated always as identity primary key,
  topic_id uuid not null,
  topic text not null,
  source_partition integer not null,
  kind text not null check (kind in ('offset-out-of-range', 'topic-recreated')),
  expected_offset bigint not null,
  available_offset bigint not null,
  found_at timestamptz not null default now(),
  unique (topic_id, source_partition, kind, expected_offset, available_offset)
);
