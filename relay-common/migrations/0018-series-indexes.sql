-- Of devices alone: with groups in them, statistics of a site that has grown since made PostgreSQL go through all devices of a
-- zone for its few groups, which the unique index has at its end. The condition is one that PostgreSQL can't infer: an
-- index that it knows to have all devices is read from end to end for one of them, where statistics make that look good.
-- By zone and device: a page of a zone's devices is then a stretch of the index.
drop index series_zone_type;
drop index series_type;
create index series_zone_device on series (zone, device_id) where length(device_id) > 0;
create index series_type on series (device_type) where length(device_id) > 0;
