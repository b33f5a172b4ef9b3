-- Commits of rollups: what each flush has changed, kept for some minutes. Whoever shows rollups live reads them from
-- here; the notification only says that it is time to look.
--
-- A position in them is an xid8 of which every older transaction has ended (pg_snapshot_xmin). What is at or behind it
-- may be read twice and never missed: numbers from a sequence would not do, for they are given out before the commit.
create table rollup_commits (
  xact_id xid8 not null default pg_current_xact_id(),
  level smallint not null,            -- 0: minute, 1: hour, 2: day
  first_bucket timestamptz not null,
  last_bucket timestamptz not null,   -- the bucket itself, not its end
  series_ids integer[],               -- null: too many to name, any may have changed
  recorded_at timestamptz not null default clock_timestamp()
);

create index rollup_commits_xact on rollup_commits (xact_id);
create index rollup_commits_recorded on rollup_commits (recorded_at);

-- Records what the caller's transaction changes: the rows that are in its incoming_rollups. To be called before its
-- commit, once. A flush is bounded whatever it holds: past ROWS it names buckets and no series; past BUCKETS only the
-- newest of each level, and one stretch for all others.
create function announce_rollups () returns void language plpgsql as $$
declare
  rows_max constant integer := 10000;
  buckets_max constant integer := 200;
  newest_buckets constant integer := 3;
  row_count bigint;
begin
  select count(*) into row_count from incoming_rollups;
  if row_count = 0 then
    return;
  end if;

  -- the text of it differs, for an aggregate is computed, and its rows are sorted, also where no one looks at it
  execute format($sql$
    with changed as materialized (
      select level, bucket_start, %s as series_ids,
        row_number() over (partition by level order by bucket_start desc) as age,
        count(*) over () as buckets
      from incoming_rollups
      group by level, bucket_start)
    insert into rollup_commits (level, first_bucket, last_bucket, series_ids)
    select level, bucket_start, bucket_start, series_ids from changed where buckets <= $1 or age <= $2
    union all
    select level, min(bucket_start), max(bucket_start), null from changed where buckets > $1 and age > $2 group by level
  $sql$, case when row_count <= rows_max then 'array_agg(distinct series_id)' else 'null::integer[]' end)
  using buckets_max, newest_buckets;

  -- those that another processor is dropping just now are its own
  delete from rollup_commits where ctid = any (array(
    select ctid from rollup_commits where recorded_at < now() - interval '20 minutes'
    limit 1000 for update skip locked));

  perform pg_notify('rollup_commits', '');
end
$$;
