{#
    Whose rows a reader of the marts sees: engage_staff those of the students in ops.my_student, every other role that may read
    a mart at all its every row. A table has policies for exactly the roles in its grants; made where they are missing, so that a
    night changes nothing in a table that is kept.

    Postgres asks cheap conditions first, a reader's own among them if they cannot leak by themselves: whether it came to ours would
    then tell, by plan and time, what they said of others. Looking up a key of jsonb counts as free, so it is always asked first. An
    array besides is found by an index that begins with the student.
#}
{% macro row_level_security() -%}
    {%- set roles = (model.config.grants or {}).get('select', []) -%}
    {% if model.config.materialized == 'view' %}
    alter view {{ this }} set (security_barrier = true)
    {% else %}
    do $$
    declare
        mart constant regclass := '{{ this }}';
        readers constant text[] := '{{ "{" ~ roles | join(",") ~ "}" }}';
        own constant text := '{{ is_mine("student_id") }}' || case
            when exists (
                select from pg_index as i
                inner join pg_attribute as a on i.indrelid = a.attrelid and a.attnum = i.indkey[0]
                where i.indrelid = mart and a.attname = 'student_id'
            ) then ' and student_id = any(array(select m.student_id from ops.my_student as m))'
            else ''
        end;
        name text;
    begin
        if not exists (select from pg_attribute where attrelid = mart and attname = 'student_id' and not attisdropped) then
            return;
        end if;
        if not (select relrowsecurity from pg_class where oid = mart) then
            execute format('alter table %s enable row level security', mart);
        end if;
        for name in select polname from pg_policy where polrelid = mart and polname <> all(readers) loop
            execute format('drop policy %I on %s', name, mart);
        end loop;
        for name in
            select rolname from pg_roles
            where rolname = any(readers) and rolname not in (select polname from pg_policy where polrelid = mart)
        loop
            execute format(
                'create policy %1$I on %2$s for select to %1$I using (%3$s)',
                name, mart, case name when 'engage_staff' then own else 'true' end
            );
        end loop;
    end
    $$
    {% endif %}
{%- endmacro %}

{% macro is_mine(student_id) -%}
    ((select jsonb_object_agg(m.student_id, true) as mine from ops.my_student as m))[{{ student_id }}] is not null
{%- endmacro %}

{# The same for a mart that is a view, and so reads with the rights of its owner: a condition of its own, on every table of which a
   reader's conditions could be asked. #}
{% macro is_for_reader(student_id) -%}
    ((select reader.sees_all from ops.reader as reader) or {{ is_mine(student_id) }})
{%- endmacro %}
