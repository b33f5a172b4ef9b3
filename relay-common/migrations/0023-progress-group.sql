-- The consumer group whose processors write the rollups. Processors of two groups would take all partitions from each other
-- for ever: each group hands out all of them, and the rows know one owner of a partition. No row: nobody has claimed a
-- partition since this table is there, and the first one who does fills it in.
create table progress_group (
  is_only boolean primary key default true check (is_only),
  consumer_group text not null,
  since timestamptz not null default now()
);

do $$
begin
  if exists (select from pg_roles where rolname = 'relay_processor') then
    grant select, insert, update on progress_group to relay_processor;
  end if;
end
$$;
