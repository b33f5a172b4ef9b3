-- The journal: what flushes have added to series and what is not in their rollup rows yet. A flush that brings few readings
-- of each device writes one row for each block of devices, in place of three rows for each device; their rows are written once
-- a minute is over and more, in the transaction that removes their readings from here.
--
--     content of a bucket of a series = its rollup rows + what the journal has of it
--
-- Rows are only added and removed, by the owner of their source partition, in transactions that move its progress.
create table journal (
  block integer not null,              -- some 256 devices or groups, or the late readings of 4,096 devices
  source_partition integer not null,
  flush bigint not null,               -- counts up, by source partition
  first_time timestamptz not null,     -- of the readings in it
  last_time timestamptz not null,
  body bytea not null,                 -- relay-rollups/src/journal-row.ts
  primary key (block, source_partition, flush)
) with (
  autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
  autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 100000,
  autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 100000,
  toast_tuple_target = 8160            -- a look-up of each body in another table would cost more than the body
);
alter table journal alter column body set storage external; -- it is packed as tightly as it gets

-- Devices of one source partition get ids beside each other, so that a block has the readings of many.
create table series_blocks (
  source_partition integer primary key, -- -1: groups, which are of all
  next_id integer not null,
  end_id integer not null
);

-- Some distance behind the ids that there are: processors of the version before go on counting from those.
create sequence series_blocks_made as integer;
select setval('series_blocks_made', coalesce(max(series_id), 0) / 256 + 4096) from series;

create function take_series_ids (of_partition integer, wanted integer) returns setof integer language plpgsql as $$
declare
  size constant integer := 256;
  block series_blocks;
begin
  insert into series_blocks values (of_partition, 0, 0) on conflict do nothing;
  select * into strict block from series_blocks where source_partition = of_partition for update;
  for n in 1 .. wanted loop
    if block.next_id = block.end_id then
      block.next_id := nextval('series_blocks_made') * size;
      block.end_id := block.next_id + size;
    end if;
    return next block.next_id;
    block.next_id := block.next_id + 1;
  end loop;
  update series_blocks b set next_id = block.next_id, end_id = block.end_id where b.source_partition = of_partition;
end
$$;

do $$
declare
  allowed record;
begin
  for allowed in
    select * from (values
      ('relay_processor', 'select, insert, delete on journal'),
      ('relay_processor', 'select, insert, update on series_blocks'),
      ('relay_processor', 'usage on sequence series_blocks_made'),
      ('relay_processor', 'execute on function take_series_ids(integer, integer)'),
      ('relay_api', 'select on journal')) as a (role_name, what)
  loop
    if exists (select from pg_roles where rolname = allowed.role_name) then
      execute format('grant %s to %I', allowed.what, allowed.role_name);
    end if;
  end loop;
end
$$;
