-- What came late, and what came again: by series, hour of event time and source partition, so that an answer can say
-- which of its rows were changed after they were final. A row has one writer, as those of the rollups; it is written in
-- the transaction of the progress, so a reading is counted here as often as there: once.
--
-- Both series of a reading have rows: its device's, and the group's of its zone and type.
do $$
declare
  timescale boolean := rollups_are_hypertables();
  allowed record;
begin
  execute format($sql$
    create table arrival_counts (
      series_id integer not null,
      bucket_start timestamptz not null,    -- the hour
      source_partition integer not null,
      late bigint not null,                 -- readings whose minute was over by the event time that their partition had come to
      duplicates bigint not null,           -- resends that were not counted again
      late_minutes bigint not null,         -- bit n: a late reading was in the n-th minute of the hour
      late_through timestamptz,             -- the latest event time that the partition had come to when one came; null: none
      revised_at timestamptz,               -- when the last late one came
      primary key (series_id, bucket_start, source_partition)
    ) %s $sql$, case when timescale then '' else 'partition by range (bucket_start)' end);
  if timescale then
    perform create_hypertable(
      'arrival_counts'::regclass, by_range('bucket_start', interval '90 days'), create_default_indexes => false);
  end if;
  -- partitions, chunks and retention are those of a level; there is nothing in it that would compress
  insert into rollup_levels (name, table_name, chunk, compress_after)
    values ('arrivals', 'arrival_counts', '90 days', '180 days');

  for allowed in
    select * from (values ('relay_processor', 'select, insert, update'), ('relay_api', 'select')) as a (role_name, what)
  loop
    if exists (select from pg_roles where rolname = allowed.role_name) then
      execute format('grant %s on arrival_counts to %I', allowed.what, allowed.role_name);
    end if;
  end loop;
end
$$;
