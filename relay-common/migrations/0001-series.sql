-- A series is what one device of one type sends from one zone. A series without a device is the group of all devices
-- of that zone and type: it makes answers for zones and types cheap.
-- Names sort by bytes ("C"), so that prefix searches can use the index whatever the locale of the database.
create table series (
  series_id integer generated always as identity primary key,
  device_id text collate "C",
  zone text collate "C" not null,
  device_type text collate "C" not null,
  unique nulls not distinct (device_id, zone, device_type)
);

create index series_zone_type on series (zone, device_type);
create index series_type on series (device_type);
