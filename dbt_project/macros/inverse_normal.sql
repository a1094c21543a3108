{#
    Inverse of the standard normal distribution: algorithm AS 241, PPND16 (Wichura 1988), as in Python's statistics.
    Takes two columns: q = u - 0.5, and r = inverse_normal_r(u). Its third branch, for u below 1.4e-11 or as near to 1, is left
    out: a share of students never comes there.
#}
{% macro inverse_normal_r(u) -%}
    case when abs({{ u }} - 0.5) <= 0.425 then 0.180625 - ({{ u }} - 0.5) ^ 2 else sqrt(-ln(least({{ u }}, 1 - {{ u }}))) end
{%- endmacro %}

{% macro inverse_normal(q, r) -%}
    {%- set central = [
        [2.5090809287301226727e3, 3.3430575583588128105e4, 6.7265770927008700853e4, 4.5921953931549871457e4,
            1.3731693765509461125e4, 1.9715909503065514427e3, 1.3314166789178437745e2, 3.3871328727963666080e0],
        [5.2264952788528545610e3, 2.8729085735721942674e4, 3.9307895800092710610e4, 2.1213794301586595867e4,
            5.3941960214247511077e3, 6.8718700749205790830e2, 4.2313330701600911252e1, 1.0],
    ] -%}
    {%- set outer = [
        [7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1, 1.27045825245236838258e0,
            3.64784832476320460504e0, 5.76949722146069140550e0, 4.63033784615654529590e0, 1.42343711074968357734e0],
        [1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2, 1.48103976427480074590e-1,
            6.89767334985100004550e-1, 1.67638483018380384940e0, 2.05319162663775882187e0, 1.0],
    ] -%}
    case
        when abs({{ q }}) <= 0.425 then {{ q }} * {{ _horner(central[0], r) }} / {{ _horner(central[1], r) }}
        else sign({{ q }}) * {{ _horner(outer[0], "(" ~ r ~ " - 1.6)") }} / {{ _horner(outer[1], "(" ~ r ~ " - 1.6)") }}
    end
{%- endmacro %}

{% macro _horner(coefficients, x) -%}
    {%- set text = namespace(value="'" ~ coefficients[0] ~ "'::double precision") -%}
    {%- for c in coefficients[1:] -%}
        {%- set text.value = "(" ~ text.value ~ " * " ~ x ~ " + '" ~ c ~ "'::double precision)" -%}
    {%- endfor -%}
    {{ text.value }}
{%- endmacro %}
