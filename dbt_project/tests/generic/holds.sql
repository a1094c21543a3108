{#
    A rule that every row keeps; a rule that is neither true nor false is broken. `only` narrows the look to what a run has
    just written. If it fails: a figure contradicts another of the same row; see which, and what it was made from.
#}
{% test holds(model, rule, only=none) %}
    select *
    from {{ model }}
    where ({{ only or 'true' }}) and ({{ rule }}) is not true
{% endtest %}
