{{
    config(
        tags=['weekly'],
        materialized='incremental',
        incremental_strategy='append',
        full_refresh=false,
        indexes=[{'columns': ['student_id', 'week_start']}, {'columns': ['week_start']}],
        pre_hook="{{ delete_pending_weeks('week_start') }}",
        post_hook=["{{ mark_weeks_published() }}", "analyze {{ this }}"],
    )
}}

-- last of all: this turns the weeks from pending to published
-- depends_on: {{ ref('int_student_trace') }}
-- depends_on: {{ ref('peer_set_score') }}
-- depends_on: {{ ref('weekly_score_source') }}

with

publications as (select * from {{ ref('int_publication') }}),

revisions as (select * from {{ ref('weekly_score_revision') }}),

current_revision as (
    select
        week_start,
        max(revision) as revision
    from publications
    group by week_start
),

final as (
    select
        revisions.student_id,
        revisions.week_start,
        revisions.score,
        revisions.status,
        revisions.peer_level,
        revisions.peer_group,
        revisions.peer_n,
        revisions.composite,
        revisions.sources_used,
        revisions.marks,
        revisions.config_version,
        revisions.data_as_of,
        revisions.revision,
        revisions.published_at,
        revisions.reason
    from revisions
    inner join current_revision
        on revisions.week_start = current_revision.week_start and revisions.revision = current_revision.revision
)

select * from final
