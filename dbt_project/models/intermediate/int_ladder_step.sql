{{ config(tags=['daily']) }}

{{ steps_of_ladders() }}
