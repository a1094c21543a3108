{{ config(tags=['casework'], indexes=[{'columns': ['student_id']}], post_hook="analyze {{ this }}") }}

{{ steps_of_ladders() }}
