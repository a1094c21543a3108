{#
    One row per grain, and no part of it null. `only` narrows the look to what a run has just written;
    tests without it look at all history and are tagged full_history.
    If it fails: two rows tell of the same thing, so sums are too high; see which rows of the input repeat, and rebuild.
#}
{% test unique_grain(model, columns, only=none) %}
    select {{ columns | join(", ") }}
    from {{ model }}
    where {{ only or 'true' }}
    group by {{ columns | join(", ") }}
    having count(*) > 1 or num_nulls({{ columns | join(", ") }}) > 0
{% endtest %}
