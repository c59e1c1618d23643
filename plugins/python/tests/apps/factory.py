from several import one, two, factory

create = factory
