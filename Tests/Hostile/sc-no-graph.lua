-- expect: reject
-- kind: script
return nil
