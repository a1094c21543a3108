{{ config(tags=['daily'], unlogged=false) }}

-- Read between runs, which do not make it anew: it must survive a crash of Postgres.

{{ steps_of_ladders() }}
