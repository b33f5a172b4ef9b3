-- Every claim of a partition, and where it began: so each record belongs to one claim, the newest that begins at or before it. Of the
-- dead letters of a record only those of that claim are true. An owner that was fenced may have written letters of records that it
-- never got to: the next owner read them again, and may have counted them.
--
-- The log as its records were read:   |--- claim 7 ----------|--- claim 8 -------------|--- claim 9 ...
--                                                            ^ from_offset of claim 8
create table progress_claims (
  topic_id uuid not null,
  source_partition integer not null,
  epoch bigint not null,
  history_id text not null,             -- after a restore the same epochs are given again, in another history
  from_offset bigint not null,
  primary key (topic_id, source_partition, epoch)
);

-- A trigger, because processors of the version before raise epochs too.
create function note_progress_claim () returns trigger language plpgsql as $$
begin
  -- those that ended where they began own nothing
  delete from progress_claims
  where topic_id = new.topic_id and source_partition = new.source_partition and epoch < new.epoch
    and from_offset >= new.next_offset;
  insert into progress_claims (topic_id, source_partition, epoch, history_id, from_offset)
  values (new.topic_id, new.source_partition, new.epoch, ensure_history(), new.next_offset)
  on conflict (topic_id, source_partition, epoch) do update
    set history_id = excluded.history_id, from_offset = excluded.from_offset;
  return null;
end
$$;

create trigger note_progress_claim after insert or update of epoch on progress
  for each row execute function note_progress_claim();

do $$
begin
  execute format('alter function note_progress_claim() security definer set search_path = %I, pg_temp', current_schema());
  revoke execute on function note_progress_claim() from public;
  if exists (select from pg_roles where rolname = 'relay_processor') then
    grant select, delete on progress_claims to relay_processor;
  end if;
end
$$;
