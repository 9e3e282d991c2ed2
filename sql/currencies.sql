-- Grain     currency whose minor unit is not a hundredth
-- Inputs    none (ISO 4217)
-- Question  What is one minor unit worth? Join it left; a currency that is not here counts in hundredths.
select currency, cast(unit as decimal(4, 3)) as unit
from (
    values
    ('BIF', 1), ('CLP', 1), ('DJF', 1), ('GNF', 1), ('ISK', 1), ('JPY', 1), ('KMF', 1), ('KRW', 1), ('PYG', 1),
    ('RWF', 1), ('UGX', 1), ('UYI', 1), ('VND', 1), ('VUV', 1), ('XAF', 1), ('XOF', 1), ('XPF', 1),
    ('BHD', 0.001), ('IQD', 0.001), ('JOD', 0.001), ('KWD', 0.001), ('LYD', 0.001), ('OMR', 0.001), ('TND', 0.001)
) as c (currency, unit)
