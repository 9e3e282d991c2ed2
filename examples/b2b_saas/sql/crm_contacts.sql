-- One contact per CRM contact. Reads contacts.
-- The CRM has no stages; `is_active` is no deletion, so an inactive contact still counts as a person in the CRM.
select
    crm_contact_id as record_id,
    created_at as occurred_at,
    updated_at,
    email,
    phone,
    nullif(concat_ws(' ', first_name, last_name), '') as name,
    company_name as company,
    ['crm:' || crm_contact_id] as keys,
    lead_source as source,
    _row
from contacts
