-- Who may do what, as roles that nobody logs in as: a site makes its users members of them.
--
--     relay_processor   reads and writes rollups, series and progress; reads and appends to the event log
--     relay_api         reads rollups, and can't write one; keeps API keys, and appends to the event log
--     relay_producer    appends to the event log, as devices and simulators do
--
-- Whoever runs the migrations owns everything. What makes and drops tables are functions that run with the owner's
-- rights, so that no program needs them.
do $$
declare
  role_name text;
begin
  foreach role_name in array array['relay_processor', 'relay_api', 'relay_producer'] loop
    begin
      if not exists (select from pg_roles where rolname = role_name) then
        execute format('create role %I nologin', role_name);
      end if;
    exception
      when duplicate_object or unique_violation then
        null; -- roles are of the whole server: another of its databases was faster
      when insufficient_privilege then
        raise notice 'this role may not make roles: % is left out, and can be made by hand before the migrations run', role_name;
    end;
  end loop;
end
$$;

-- Functions with the owner's rights find what they name where it is now, whatever their caller has made.
do $$
declare
  definer text;
begin
  foreach definer in array array[
    'ensure_rollup_partitions(text, timestamptz, timestamptz)', 'set_rollup_retention(text, interval)',
    'drop_old_rollups(timestamptz)', 'create_event_log_topic(text, integer, interval)',
    'add_event_log_partitions(text, integer)', 'lock_event_log_partitions(uuid)', 'open_event_log_segment(uuid)',
    'maintain_event_log_topic(uuid)', 'drop_event_log_topic(text)',
    'append_to_event_log(uuid, integer[], integer[], integer[], bytea[], bytea[], jsonb[])'
  ] loop
    execute format('alter function %s security definer set search_path = %I, pg_temp', definer, current_schema());
    execute format('revoke execute on function %s from public', definer);
  end loop;
end
$$;

do $$
declare
  allowed record;
begin
  for allowed in
    select * from (values
      ('relay_processor', 'usage on schema ' || quote_ident(current_schema())),
      ('relay_processor', 'select on migrations, rollup_levels'),
      ('relay_processor', 'select, insert on series'),
      ('relay_processor', 'select, insert, update on rollups_minute, rollups_hour, rollups_day, progress'),
      ('relay_processor', 'select, insert on gaps'),
      ('relay_processor', 'select, insert, update, delete on rollup_commits'),
      ('relay_processor', 'execute on function ensure_rollup_partitions(text, timestamptz, timestamptz)'),
      ('relay_processor', 'execute on function set_rollup_retention(text, interval)'),
      ('relay_processor', 'execute on function drop_old_rollups(timestamptz)'),
      ('relay_processor', 'select on event_log_topics, event_log_partitions, event_log_segments, event_log_batches'),
      ('relay_processor', 'select, insert, update, delete on event_log_members, event_log_leases'),
      ('relay_processor', 'execute on function create_event_log_topic(text, integer, interval)'),
      ('relay_processor', 'execute on function maintain_event_log_topic(uuid)'),
      ('relay_processor', 'execute on function append_to_event_log(uuid, integer[], integer[], integer[], bytea[], bytea[], jsonb[])'),

      ('relay_api', 'usage on schema ' || quote_ident(current_schema())),
      ('relay_api', 'select on migrations, rollup_levels, series, rollups_minute, rollups_hour, rollups_day, progress, gaps, rollup_commits'),
      ('relay_api', 'select, insert, update, delete on ingest_answers, rate_limits'),
      ('relay_api', 'select, insert, update on api_keys'),
      ('relay_api', 'insert on audit_log'),
      ('relay_api', 'select on event_log_topics, event_log_partitions, event_log_segments, event_log_batches'),
      ('relay_api', 'execute on function create_event_log_topic(text, integer, interval)'),
      ('relay_api', 'execute on function maintain_event_log_topic(uuid)'),
      ('relay_api', 'execute on function append_to_event_log(uuid, integer[], integer[], integer[], bytea[], bytea[], jsonb[])'),

      ('relay_producer', 'usage on schema ' || quote_ident(current_schema())),
      ('relay_producer', 'select on migrations, event_log_topics, event_log_partitions, event_log_segments'),
      ('relay_producer', 'execute on function create_event_log_topic(text, integer, interval)'),
      ('relay_producer', 'execute on function maintain_event_log_topic(uuid)'),
      ('relay_producer', 'execute on function append_to_event_log(uuid, integer[], integer[], integer[], bytea[], bytea[], jsonb[])')
    ) as a (role_name, what)
  loop
    if exists (select from pg_roles where rolname = allowed.role_name) then
      execute format('grant %s to %I', allowed.what, allowed.role_name);
    end if;
  end loop;
end
$$;
