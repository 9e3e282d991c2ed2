-- Which record bears which key, how sure that ties it, and the keys that too many people share. No id is shared here, and
-- no name at a company ties what nothing else does.

create table linked as
select record, name, unnest(keys) as key from everything where len(keys) > 0;

create table email_ties as
with addresses as (
    select record, name, email as raw from everything where email is not null
    union all
    select record, name, key[7:] from linked where starts_with(key, 'email:')
),
clean as (
    select record, name, lower(trim(raw, E' \t\r\n')) as exact from addresses
),
parts as (
    select record, name, exact, split_part(exact, '@', 1) as local,
           case split_part(exact, '@', 2) when 'googlemail.com' then 'gmail.com' else split_part(exact, '@', 2) end as domain
    from clean
    where regexp_full_match(exact, '[^@\s]+@[^@\s]+\.[^@\s]+')
),
untagged as (
    select record, name, exact, domain,
           case when domain in ('gmail.com', 'outlook.com', 'hotmail.com', 'live.com', 'icloud.com', 'me.com', 'mac.com',
                                'fastmail.com', 'proton.me', 'protonmail.com', 'pm.me')
                then split_part(local, '+', 1) else local end as local
    from parts
),
undotted as (
    select record, name, exact, domain, case when domain = 'gmail.com' then replace(local, '.', '') else local end as local
    from untagged
)
select record, 'email:' || case when local = '' then exact else local || '@' || domain end as key, exact, words
from undotted
left join names using (name);

-- Plain North American numbers, as libphonenumber reads them; the sandbox has no others.
create table phone_ties as
with numbers as (
    select record, name, phone as raw from everything where phone is not null
    union all
    select record, name, key[7:] from linked where starts_with(key, 'phone:')
),
digits as (
    select record, name, regexp_extract(regexp_replace(raw, '[\s().-]', '', 'g'), '^(?:\+1|1)?([2-9][0-9]{9})$', 1) as digits
    from numbers
)
select distinct record, 'phone:+1' || digits as key, words
from digits
left join names using (name)
where digits <> '';

create table shared as
with spoken as (
    select key, record, words, true as is_email from email_ties
    union all
    select key, record, words, false from phone_ties
),
doubtful as (
    select key, is_email
    from spoken
    group by key, is_email
    having min(words) <> max(words) or (not is_email and count(*) > getvariable('people_per_phone'))
),
bearers as (
    select key, spoken.record, words, is_email from spoken join doubtful using (key, is_email)
),
mailboxes as (
    select record, min(key) as mailbox
    from email_ties
    where record in (select record from bearers where not is_email)
    group by record
)
select key, is_email, count(distinct mailbox) filter (not is_email) as mailbox_count,
       list_sort(list(distinct words) filter (words is not null)) as names
from bearers
left join mailboxes using (record)
group by key, is_email
having min(words) <> max(words) or mailbox_count > getvariable('people_per_phone');

-- Who has one e-mail at most may be misspelt: names that differ in one word, and there by one slip of the pen.
create table slips as
with mentioned as (
    select key, unnest(names) as words from shared where not is_email and coalesce(mailbox_count, 0) <= 1
),
apart as (
    select one.key, one.words, other.words as other_words,
           list_filter(string_split(one.words, ' '), lambda w: not list_contains(string_split(other.words, ' '), w)) as mine,
           list_filter(string_split(other.words, ' '), lambda w: not list_contains(string_split(one.words, ' '), w)) as theirs
    from mentioned as one
    join mentioned as other on other.key = one.key and other.words <> one.words
    where len(string_split(one.words, ' ')) = len(string_split(other.words, ' '))
)
select key, words, other_words
from apart
where len(mine) = 1 and len(theirs) = 1 and damerau_levenshtein(mine[1], theirs[1]) = 1
  and (length(mine[1]) > 3 or length(mine[1]) <> length(theirs[1]) or levenshtein(mine[1], theirs[1]) > 1);

-- Each name as the least of those that slips lead to.
create table spellings as
with recursive reached as (
    select key, unnest(names) as words, words as spelling from shared
    union
    select reached.key, reached.words, slips.other_words
    from reached
    join slips on slips.key = reached.key and slips.words = reached.spelling
)
select key, words, min(spelling) as spelling from reached group by key, words;

-- A name whose words are all in one other name of the key belongs to that one's group.
create table name_groups as
with said as (
    select key, shared.is_email, shared.mailbox_count, spellings.words, spelling
    from shared
    join spellings using (key)
),
longest as (
    select distinct one.key, one.spelling as words
    from said as one
    where not exists (
        from said as other
        where other.key = one.key and other.spelling <> one.spelling
          and list_has_all(string_split(other.spelling, ' '), string_split(one.spelling, ' '))
    )
)
select said.key, said.is_email, said.mailbox_count, said.words,
       case when count(longest.words) = 1 then any_value(longest.words) else any_value(said.spelling) end as name_group
from said
left join longest
  on longest.key = said.key and list_has_all(string_split(longest.words, ' '), string_split(said.spelling, ' '))
group by said.key, said.is_email, said.mailbox_count, said.words;

create table demoted as
select shared.key, shared.is_email, shared.mailbox_count, count(distinct name_group) as name_count
from shared
left join name_groups using (key)
group by shared.key, shared.is_email, shared.mailbox_count
having (not shared.is_email and (shared.mailbox_count > getvariable('people_per_phone') or count(distinct name_group) > 1))
    or (shared.is_email and count(distinct name_group) > getvariable('names_per_email'))
    or (shared.is_email and count(distinct name_group) > 1
        and regexp_extract(shared.key, '^email:([^@+]*)', 1) in (
            'info', 'office', 'contact', 'hello', 'sales', 'support', 'admin', 'billing', 'accounts', 'accounting', 'team',
            'mail', 'help', 'service', 'invoices', 'finance', 'hr', 'marketing', 'noreply', 'no-reply'));

-- level 1: what is surely one (the address as written, an id); level 2: one mailbox; level 3: one phone.
create table ties as
select 1 as level, record, 'exact:' || exact as node from email_ties where key not in (select key from demoted)
union all
select 1, record, key from (select distinct record, key from linked where not regexp_matches(key, '^(email|phone):'))
union all
select 2, record, key from email_ties where key not in (select key from demoted)
union all
select 3, record, key from phone_ties where key not in (select key from demoted)
union all
select 3, record, key || '|' || name_group
from phone_ties
join name_groups using (key, words)
where key in (select key from demoted where mailbox_count <= getvariable('people_per_phone'));

create table levels as
select * from (values (1, 1.0::double), (2, 0.98::double), (3, 0.95::double)) as levels (level, confidence);

-- Records and what holds them together so far; every record begins alone.
create table components as
select record, record as component, 1.0::double as confidence from everything;
