-- The last record that was read, by which the processor recognizes a log that has others in its place: its broker was restored from
-- an older copy, or lost records, and new ones took their offsets. It belongs to one `next_offset`; processors of the version before
-- move that alone, and then nothing is compared.
alter table progress
  add column last_record_offset bigint,
  add column last_record_value_crc bigint,      -- CRC-32C of its value; 0: it has none
  add column last_record_next_offset bigint;

alter table gaps
  drop constraint gaps_kind_check,
  add constraint gaps_kind_check check (kind in ('offset-out-of-range', 'topic-recreated', 'records-replaced'));
