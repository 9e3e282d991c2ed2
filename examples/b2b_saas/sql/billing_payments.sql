-- One payment per invoice that was paid (succeeded, when it was paid) or still is to be paid (pending, since it was
-- issued). Void ones are none. Reads invoices and, for who pays and what for, accounts.
-- What a status and `paid_at` say against each other can't be settled here: such invoices are rejected.
select
    i.invoice_id as record_id,
    coalesce(i.paid_at, i.issued_at) as occurred_at,
    a.email,
    a.account_name as name,
    a.company_name as company,
    ['billing:' || i.billing_account_id] as keys,
    'processor' as role,
    case i.status when 'paid' then 'succeeded' when 'open' then 'pending' else i.status end as status,
    try_cast(i.amount_cents as bigint) as amount_minor,
    upper(i.currency) as currency,
    'billing:' || a.plan as product_ref,
    'billing:' || i.billing_account_id as subscription_ref,
    case a.payment_method
        when 'ach' then 'us_bank_account'
        when 'wire' then 'bank_transfer'
        when 'credit_card' then 'card'
    end as method, -- 'invoice' leaves the choice to the payer
    case
        when i.status = 'paid' and i.paid_at is null then 'paid, but not when'
        when i.status <> 'paid' and i.paid_at is not null then i.status || ', yet it was paid'
    end as _reject,
    i._row,
    i._resource
from invoices i
left join accounts a using (billing_account_id)
where i.status <> 'void' or i.paid_at is not null
