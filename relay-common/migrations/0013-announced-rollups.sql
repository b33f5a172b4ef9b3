-- Flushes write rows of new buckets straight into the tables of their levels, past incoming_rollups: they tell what they
-- change. How it is kept, and why, is in 0005-rollup-commits.sql.
drop function announce_rollups ();

-- Records what the caller's transaction changes: the n-th bucket of the n-th level, and its series (an array as text;
-- null: too many to name). Each level and bucket once. To be called before the commit, once. Past BUCKETS only the newest
-- of each level are kept apart, and one stretch for all others.
create function announce_rollups (levels smallint[], buckets timestamptz[], series text[]) returns void
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

  -- those that another processor is dropping just now are its own
  delete from rollup_commits where ctid = any (array(
    select ctid from rollup_commits where recorded_at < now() - interval '20 minutes'
    limit 1000 for update skip locked));

  perform pg_notify('rollup_commits', '');
end
$$;
