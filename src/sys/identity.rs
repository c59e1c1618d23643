//! Who the server is to the kernel: users and groups by name or number, and giving up root for good.

use std::ffi::CString;

use nix::unistd::{self, Gid, Group, Uid, User};

use super::Error;

/// A user as the configuration names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Number.
    pub uid: Uid,
    /// Login name, where the user was given by name: only then are its groups looked up.
    pub name: Option<CString>,
    /// Primary group, where the user database knows the user.
    pub gid: Option<Gid>,
}

/// Whom to become.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// `uid`.
    pub user: Option<Account>,
    /// `gid`.
    pub group: Option<Gid>,
    /// `add-gid`.
    pub more_groups: Vec<Gid>,
    /// `no-initgroups`: none but `group` and `more_groups`.
    pub no_initgroups: bool,
}

/// User and group of this process.
pub fn numbers() -> (u32, u32) {
    (Uid::current().as_raw(), Gid::current().as_raw())
}

/// Whether this process may become anybody.
pub fn is_root() -> bool {
    Uid::effective().is_root()
}

/// Whether `user` may give this process orders: root, and whoever it runs as.
pub fn may_control(user: Uid) -> bool {
    // What another user namespace calls a user without a number here; it could be anybody.
    const OVERFLOW: u32 = 65_534;
    user.is_root() || (user == Uid::effective() && user.as_raw() != OVERFLOW)
}

/// Makes `folder` the root of the file system, and the current folder, for good: `chroot`. Root may.
pub fn change_root(folder: &std::path::Path) -> Result<(), Error> {
    let failed = |errno| Error::call("chroot to", folder.display().to_string(), errno);
    unistd::chroot(folder).map_err(failed)?;
    unistd::chdir("/").map_err(failed)
}

/// User `text`: a login name, or a number.
pub fn user(text: &str) -> Result<Account, Error> {
    if let Ok(number) = text.parse::<u32>() {
        let uid = Uid::from_raw(number);
        let gid = User::from_uid(uid).ok().flatten().map(|user| user.gid);
        return Ok(Account { uid, name: None, gid });
    }
    let found = User::from_name(text).map_err(|errno| Error::call("look up user", text, errno))?;
    let user = found.ok_or_else(|| Error::Nobody { kind: "user", name: text.to_owned() })?;
    Ok(Account { uid: user.uid, name: CString::new(user.name).ok(), gid: Some(user.gid) })
}

/// Group `text`: a name, or a number.
pub fn group(text: &str) -> Result<Gid, Error> {
    if let Ok(number) = text.parse::<u32>() {
        return Ok(Gid::from_raw(number));
    }
    let found = Group::from_name(text).map_err(|errno| Error::call("look up group", text, errno))?;
    found.map(|group| group.gid).ok_or_else(|| Error::Nobody { kind: "group", name: text.to_owned() })
}

/// `user[:group]`, as `chown-socket` has it. Either may be empty.
pub fn owner(text: &str) -> Result<(Option<Uid>, Option<Gid>), Error> {
    let (user_text, group_text) = text.split_once(':').unwrap_or((text, ""));
    let uid = if user_text.is_empty() { None } else { Some(user(user_text)?.uid) };
    let gid = if group_text.is_empty() { None } else { Some(group(group_text)?) };
    Ok((uid, gid))
}

impl Identity {
    /// Whether anything is asked for.
    pub fn is_empty(&self) -> bool {
        self.user.is_none() && self.group.is_none() && self.more_groups.is_empty()
    }

    /// Which of `uid` and `gid` is not what this process is already.
    pub fn differs(&self) -> Option<&'static str> {
        let other_user = self.user.as_ref().is_some_and(|user| user.uid != Uid::effective());
        let other_group = self.group.is_some_and(|gid| gid != Gid::effective());
        match (other_user, other_group) {
            (true, _) => Some("uid"),
            (_, true) => Some("gid"),
            _ => None,
        }
    }

    /// Becomes this, for good: groups first, since only root may change them, the user last. Every step is
    /// looked at again afterwards, because a server that wrongly believes it gave up root is worse than none.
    pub fn assume(&self) -> Result<(), Error> {
        if let Some(gid) = self.group {
            unistd::setgid(gid).map_err(|errno| Error::call("setgid", gid.to_string(), errno))?;
        }
        if is_root() && !self.is_empty() {
            self.assume_groups()?;
        }
        if let Some(Account { uid, .. }) = self.user {
            unistd::setuid(uid).map_err(|errno| Error::call("setuid", uid.to_string(), errno))?;
        }
        self.verify()
    }

    fn assume_groups(&self) -> Result<(), Error> {
        let own = self.group.unwrap_or_else(Gid::effective);
        let named = self.user.as_ref().and_then(|user| user.name.as_ref());
        let mut groups = match named {
            Some(name) if !self.no_initgroups => unistd::getgrouplist(name, own)
                .map_err(|errno| Error::call("look up groups of", name.to_string_lossy(), errno))?,
            _ => Vec::new(),
        };
        groups.extend(&self.more_groups);
        unistd::setgroups(&groups).map_err(|errno| Error::call("setgroups", format!("{groups:?}"), errno))
    }

    fn verify(&self) -> Result<(), Error> {
        let users = unistd::getresuid().map_err(|errno| Error::call("getresuid", "", errno))?;
        let groups = unistd::getresgid().map_err(|errno| Error::call("getresgid", "", errno))?;
        if let Some(Account { uid, .. }) = self.user {
            let all = [users.real, users.effective, users.saved];
            if all != [uid; 3] || (!uid.is_root() && unistd::setuid(Uid::from_raw(0)).is_ok()) {
                return Err(Error::Kept("user id"));
            }
        }
        match self.group {
            Some(gid) if [groups.real, groups.effective, groups.saved] != [gid; 3] => {
                Err(Error::Kept("group id"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_the_same_user() {
        let by_name = user("root").expect("every system has root");
        assert_eq!(by_name.uid, Uid::from_raw(0));
        assert_eq!(by_name.name.as_deref(), Some(c"root"));
        let by_number = user("0").expect("a number needs no name");
        assert_eq!((by_number.uid, by_number.name), (Uid::from_raw(0), None));
        assert_eq!(group("0").expect("a number"), Gid::from_raw(0));
    }

    #[test]
    fn a_number_nobody_has_is_fine_and_a_name_nobody_has_is_not() {
        assert_eq!(user("4242424").expect("any number").gid, None);
        assert_eq!(user("no-such-user").expect_err("unknown").to_string(), "user \"no-such-user\" not found");
        assert_eq!(
            group("no-such-group").expect_err("unknown").to_string(),
            "group \"no-such-group\" not found"
        );
    }

    #[test]
    fn an_owner_may_lack_either_part() {
        assert_eq!(owner("7").expect("user"), (Some(Uid::from_raw(7)), None));
        assert_eq!(owner("7:8").expect("both"), (Some(Uid::from_raw(7)), Some(Gid::from_raw(8))));
        assert_eq!(owner(":8").expect("group"), (None, Some(Gid::from_raw(8))));
    }

    #[test]
    fn root_given_up_is_gone() {
        if !is_root() {
            return;
        }
        let identity = Identity {
            user: Some(user("65534").expect("a number")),
            group: Some(Gid::from_raw(65534)),
            more_groups: vec![Gid::from_raw(4242)],
            no_initgroups: false,
        };
        let status = crate::sys::process::in_child(|| {
            let became = identity.assume().is_ok();
            let groups = unistd::getgroups().unwrap_or_default();
            i32::from(!(became && !is_root() && groups == [Gid::from_raw(4242)]))
        });
        assert_eq!(status, crate::sys::process::Status::Exited(0));
    }
}
