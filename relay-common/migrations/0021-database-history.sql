-- The history of a database, by name. Transaction numbers, offsets, epochs and ids of series belong to one history: after a
-- restore or a failover that lost commits the same numbers are given again, for other things. Whoever remembers one of them
-- remembers the name with it, and drops both when the name differs.
--
-- A backup holds the name of what it was made of, whichever way it comes back. So the row also says under which
-- circumstances it was written, and its name holds under these alone:
--
--     another start of the server   restored in time, from a copy of its files, another server in its place
--     a crash of one of its processes   commits that were not on disk yet are lost, where synchronous_commit is off
--     another file of this table    loaded from a dump, or made of a template
--
-- A plain restart begins another history too: nothing tells it from a copy that was put back.
-- A standby has the name that its primary has; where that has another one, it follows another history.
create table database_history (
  is_only boolean primary key default true check (is_only),
  history_id text not null,
  began_at timestamptz not null default clock_timestamp(),
  server_started_at timestamptz not null,
  crashed_at timestamptz,
  file_path text not null
);

-- When a process of the server crashed, and all others with it: their statistics begin anew then. Before PostgreSQL 15 it
-- took a file to know.
create function last_server_crash () returns timestamptz language sql stable as $$
  select case when current_setting('server_version_num')::integer >= 150000
    then pg_stat_get_bgwriter_stat_reset_time() end
$$;

-- One row, or none while this history has no name. To be read in the statement of what it is about.
create view current_history as
  select history_id from database_history
  where pg_is_in_recovery() or (
    server_started_at = pg_postmaster_start_time()
    and crashed_at is not distinct from last_server_crash()
    and file_path = pg_relation_filepath('database_history'));

-- Begins another history: whatever anybody remembers of this database is dropped. Also for whoever has changed rollups by
-- hand.
create function begin_history () returns text language sql as $$
  insert into database_history as h (history_id, server_started_at, crashed_at, file_path)
  values (
    left(replace(gen_random_uuid()::text, '-', ''), 12), pg_postmaster_start_time(), last_server_crash(),
    pg_relation_filepath('database_history'))
  on conflict (is_only) do update
    set history_id = excluded.history_id, began_at = excluded.began_at, server_started_at = excluded.server_started_at,
      crashed_at = excluded.crashed_at, file_path = excluded.file_path
  returning history_id
$$;

-- The name of this history. One that has none gets it now.
create function ensure_history () returns text language plpgsql as $$
declare
  name text := (select history_id from current_history);
begin
  if name is not null then
    return name;
  end if;
  perform from database_history for update; -- who comes second waits here, and finds the name
  return coalesce((select history_id from current_history), begin_history());
end
$$;

select begin_history();

-- Whoever announces a commit does so in a history that has a name: nobody takes it for one of the history before.
create function name_history () returns trigger language plpgsql as $$
begin
  perform ensure_history();
  return null;
end
$$;

create trigger name_history before insert on rollup_commits for each statement execute function name_history();

do $$
declare
  definer text;
  allowed record;
begin
  foreach definer in array array['begin_history()', 'ensure_history()'] loop
    execute format('alter function %s security definer set search_path = %I, pg_temp', definer, current_schema());
    execute format('revoke execute on function %s from public', definer);
  end loop;
  for allowed in
    select * from (values
      ('relay_processor', 'select on current_history'),
      ('relay_processor', 'execute on function ensure_history()'),
      ('relay_api', 'select on current_history'),
      ('relay_api', 'execute on function ensure_history()')) as a (role_name, what)
  loop
    if exists (select from pg_roles where rolname = allowed.role_name) then
      execute format('grant %s to %I', allowed.what, allowed.role_name);
    end if;
  end loop;
end
$$;
