-- How many partitions a topic had when one of its partitions was read for the first time. A partition with a number
-- beyond that was added later: what it has lost before it is read is missing in the rollups, where a topic that is read
-- for the first time merely begins late.
alter table progress add column topic_partitions integer;
