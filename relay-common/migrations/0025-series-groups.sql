-- Groups alone, in the order of their names: a page of 26,000 zones is a stretch of this index. The unique index has them
-- together too, but PostgreSQL does not know that rows with a null come in the order of the columns behind it, and sorts all.
create index series_groups on series (zone, device_type) where device_id is null;
