-- The record files as views, times as UTC instants without a zone; `record` numbers the rows of all kinds.

create view touchpoints as
select (1::bigint << 32) + file_row_number as record, platform, record_id, occurred_at::timestamp as occurred_at, email,
       phone, name, keys, is_test, first_loaded_at::timestamp as first_loaded_at
from read_parquet(getvariable('records') || '/touchpoints.parquet', file_row_number = true);

create view leads as
select (2::bigint << 32) + file_row_number as record, platform, record_id, occurred_at::timestamp as occurred_at, email,
       phone, name, keys, is_test, first_loaded_at::timestamp as first_loaded_at, product_ref
from read_parquet(getvariable('records') || '/leads.parquet', file_row_number = true);

create view contacts as
select (3::bigint << 32) + file_row_number as record, platform, record_id, occurred_at::timestamp as occurred_at, email,
       phone, name, list_filter(keys || [platform || ':' || record_id, merged_into], lambda k: k is not null) as keys,
       is_test, first_loaded_at::timestamp as first_loaded_at, loaded_at::timestamp as loaded_at,
       gone_at::timestamp as gone_at, updated_at::timestamp as updated_at, lifecycle_stage, merged_into, is_deleted,
       customer_since_at::timestamp as customer_since_at
from read_parquet(getvariable('records') || '/contacts.parquet', file_row_number = true);

create view deals as
select (4::bigint << 32) + file_row_number as record, platform, record_id, occurred_at::timestamp as occurred_at, email,
       phone, name, keys, is_test, first_loaded_at::timestamp as first_loaded_at, gone_at::timestamp as gone_at,
       amount_minor, product_ref, won_at::timestamp as won_at, lost_at::timestamp as lost_at
from read_parquet(getvariable('records') || '/deals.parquet', file_row_number = true);

create view bookings as
select (5::bigint << 32) + file_row_number as record, platform, record_id, occurred_at::timestamp as occurred_at, email,
       phone, name, keys, is_test, first_loaded_at::timestamp as first_loaded_at
from read_parquet(getvariable('records') || '/bookings.parquet', file_row_number = true);

create view agreements as
select (6::bigint << 32) + file_row_number as record, platform, record_id, occurred_at::timestamp as occurred_at, email,
       phone, name, keys, is_test, first_loaded_at::timestamp as first_loaded_at, product_ref,
       signed_at::timestamp as signed_at
from read_parquet(getvariable('records') || '/agreements.parquet', file_row_number = true);

create view payments as
select (7::bigint << 32) + file_row_number as record, platform, record_id, occurred_at::timestamp as occurred_at, email,
       phone, name, keys, is_test, first_loaded_at::timestamp as first_loaded_at, platform || ':' || record_id as ref,
       role, same_as, status, amount_minor, currency, product_ref, subscription_ref, refunded_minor,
       refunded_at::timestamp as refunded_at, disputed_at::timestamp as disputed_at, dispute_status,
       first_succeeded_loaded_at::timestamp as first_succeeded_loaded_at
from read_parquet(getvariable('records') || '/payments.parquet', file_row_number = true);

create view subscriptions as
select (8::bigint << 32) + file_row_number as record, platform, record_id, occurred_at::timestamp as occurred_at, email,
       phone, name, keys, is_test, first_loaded_at::timestamp as first_loaded_at, platform || ':' || record_id as ref,
       role, same_as, instalments, status, product_ref, amount_minor, "interval", trial_ends_at::timestamp as trial_ends_at,
       period_ends_at::timestamp as period_ends_at, is_cancelling, cancelled_at::timestamp as cancelled_at,
       ended_at::timestamp as ended_at, ended_loaded_at::timestamp as ended_loaded_at
from read_parquet(getvariable('records') || '/subscriptions.parquet', file_row_number = true);

create view access as
select (9::bigint << 32) + file_row_number as record, platform, record_id, occurred_at::timestamp as occurred_at, email,
       phone, name, keys, is_test, first_loaded_at::timestamp as first_loaded_at, loaded_at::timestamp as loaded_at,
       gone_at::timestamp as gone_at, product_ref, status, basis, paid_by_ref, expires_at::timestamp as expires_at,
       revoked_at::timestamp as revoked_at
from read_parquet(getvariable('records') || '/access.parquet', file_row_number = true);

create view messages as
select (10::bigint << 32) + file_row_number as record, platform, record_id, occurred_at::timestamp as occurred_at,
       email, phone, name, keys, is_test, first_loaded_at::timestamp as first_loaded_at, purpose, template_ref,
       delivered_at::timestamp as delivered_at
from read_parquet(getvariable('records') || '/messages.parquet', file_row_number = true);

create view consents as
select (11::bigint << 32) + file_row_number as record, platform, record_id, occurred_at::timestamp as occurred_at,
       email, phone, name, keys, is_test, first_loaded_at::timestamp as first_loaded_at, state
from read_parquet(getvariable('records') || '/consents.parquet', file_row_number = true);

create view notifications as
select (12::bigint << 32) + file_row_number as record, platform, record_id, email, phone, name, keys, is_test,
       first_loaded_at::timestamp as first_loaded_at
from read_parquet(getvariable('records') || '/notifications.parquet', file_row_number = true);

create view tickets as
select (13::bigint << 32) + file_row_number as record, platform, record_id, occurred_at::timestamp as occurred_at,
       email, phone, name, keys, is_test, first_loaded_at::timestamp as first_loaded_at, topic,
       first_reply_at::timestamp as first_reply_at, resolved_at::timestamp as resolved_at
from read_parquet(getvariable('records') || '/tickets.parquet', file_row_number = true);

create view surveys as
select (14::bigint << 32) + file_row_number as record, platform, record_id, email, phone, name, keys, is_test,
       first_loaded_at::timestamp as first_loaded_at
from read_parquet(getvariable('records') || '/surveys.parquet', file_row_number = true);

create view everything as
select 'touchpoints' as kind, record, platform, record_id, email, phone, name, keys, is_test, first_loaded_at from touchpoints
union all by name select 'leads' as kind, record, platform, record_id, email, phone, name, keys, is_test, first_loaded_at from leads
union all by name select 'contacts' as kind, record, platform, record_id, email, phone, name, keys, is_test, first_loaded_at from contacts
union all by name select 'deals' as kind, record, platform, record_id, email, phone, name, keys, is_test, first_loaded_at from deals
union all by name select 'bookings' as kind, record, platform, record_id, email, phone, name, keys, is_test, first_loaded_at from bookings
union all by name select 'agreements' as kind, record, platform, record_id, email, phone, name, keys, is_test, first_loaded_at from agreements
union all by name select 'payments' as kind, record, platform, record_id, email, phone, name, keys, is_test, first_loaded_at from payments
union all by name select 'subscriptions' as kind, record, platform, record_id, email, phone, name, keys, is_test, first_loaded_at from subscriptions
union all by name select 'access' as kind, record, platform, record_id, email, phone, name, keys, is_test, first_loaded_at from access
union all by name select 'messages' as kind, record, platform, record_id, email, phone, name, keys, is_test, first_loaded_at from messages
union all by name select 'consents' as kind, record, platform, record_id, email, phone, name, keys, is_test, first_loaded_at from consents
union all by name select 'notifications' as kind, record, platform, record_id, email, phone, name, keys, is_test, first_loaded_at from notifications
union all by name select 'tickets' as kind, record, platform, record_id, email, phone, name, keys, is_test, first_loaded_at from tickets
union all by name select 'surveys' as kind, record, platform, record_id, email, phone, name, keys, is_test, first_loaded_at from surveys;

-- Each distinct way to write a name, in comparable form: lower-case words in alphabetical order.
create table names as
select name,
       nullif(array_to_string(list_sort(list_distinct(regexp_extract_all(lower(name), '[\p{L}\p{N}''\x{2019}-]{2,}'))), ' '), '')
           as words
from (select distinct name from everything where name is not null);
